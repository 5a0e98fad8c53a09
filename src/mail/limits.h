/* Named limits of the mail grammar. */
#pragma once

#define MAIL_LOCAL_MAX       64   /* octets of a local part (RFC 5321 4.5.3.1.1) */
#define MAIL_DOMAIN_MAX      255  /* octets of a domain (4.5.3.1.2) */
#define MAIL_PATH_MAX        256  /* octets of a path without its brackets (4.5.3.1.3, generous by the two) */
#define MAIL_LABEL_MAX       63   /* octets of a label (RFC 1035 2.3.4) */
#define EDITS_OPS_MAX        2000 /* inserts and deletions of one message */
#define EDITS_ENCODED_MAX    (32u << 10) /* octets of them all */
#define HEADER_FIELDS_MAX    2000        /* fields looked at in one section */
#define HEADER_ADDRESSES_MAX 1000        /* addresses of one field */
#define ENCODED_WORD_MAX     512 /* octets of one encoded word that is still decoded (RFC 2047 2 allows 75) */
#define RECEIVED_MAX         2000 /* octets of a Received field */
