/* Named limits of encoded records. */
#pragma once

#define RECORD_VERSION        1
#define RECORD_RECIPIENTS_MAX 10000 /* of one message */
#define RECORD_ADDRESS_MAX    1024  /* octets of an address, ORCPT or AUTH= as given */
#define RECORD_NAME_MAX       512   /* octets of names: server, account, host, HELO, TLS */
#define RECORD_TEXT_MAX       1024  /* octets of a reply or reason */
