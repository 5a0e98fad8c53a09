/* Named limits of the DNS library. */
#pragma once

#define DNS_NAME_MAX      253u /* octets of a name as text without the last dot, RFC 1035 2.3.4 */
#define DNS_LABEL_MAX     63u
#define DNS_INPUT_MAX     1020u /* octets of a name in UTF-8 before conversion */
#define DNS_RECORDS_MAX   100u  /* records of one answer that are looked at */
#define DNS_MX_HOSTS_MAX  16u   /* exchanges of a domain that are resolved, the most preferred ones */
#define DNS_MX_HOPS_MAX   32u   /* addresses of a domain in all */
#define DNS_HOST_ADDR_MAX 8u    /* addresses of one family taken from one host */
#define DNS_TTL_MAX       86400u
#define DNS_TTL_MIN       5u    /* seconds; also of negative answers that carry none */
#define DNS_TTL_FAILURE   30u   /* seconds that a temporary failure is believed */
#define DNS_QUERIES_MAX   4096u /* questions to libunbound at a time */
