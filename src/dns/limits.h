/* Named limits of the DNS library. */
#pragma once

#define DNS_NAME_MAX           253u /* octets of a name as text without the last dot, RFC 1035 2.3.4 */
#define DNS_LABEL_MAX          63u
#define DNS_INPUT_MAX          1020u /* octets of a name in UTF-8 before conversion */
#define DNS_RECORDS_MAX        100u  /* records of one answer that are looked at */
#define DNS_MX_HOSTS_MAX       16u   /* exchanges of a domain that are resolved, the most preferred ones */
#define DNS_MX_HOPS_MAX        32u   /* addresses of a domain in all */
#define DNS_HOST_ADDR_MAX      8u    /* addresses of one family taken from one host */
#define DNS_TTL_MAX            86400u
#define DNS_TTL_MIN            5u    /* seconds; also of negative answers that carry none */
#define DNS_TTL_FAILURE        30u   /* seconds that a temporary failure is believed */
#define DNS_QUERIES_MAX        4096u /* questions to libunbound at a time */

#define SPF_RECORD_MAX         16384u /* octets of a record that is read; a longer one is permerror */
#define SPF_INPUT_MAX          1024u  /* octets of a sender, HELO or receiver name */
#define SPF_EXPANSION_MAX      4096u  /* octets of a domain-spec or explanation with its macros expanded */
#define SPF_LOOKUPS_MAX        10u    /* terms that ask DNS, RFC 7208 4.6.4 */
#define SPF_VOIDS_MAX          2u     /* void lookups, RFC 7208 4.6.4 */
#define SPF_NAMES_MAX          10u    /* names of one MX or PTR answer, RFC 7208 4.6.4 */
#define SPF_LOOKUPS_COUNTED    100u   /* where counting on behind the limits ends */
#define SPF_DEPTH_MAX          20u    /* includes within includes while counting on */
#define SPF_TRACE_MAX          1000u  /* terms of a trace */
#define SPF_MEMORY_MAX         (1024u * 1024)      /* octets of one evaluation */
#define SPF_TREE_RECORDS_MAX   100u                /* records of a tree that are followed */
#define SPF_TREE_QUESTIONS_MAX 2000u               /* asked for a tree */
#define SPF_TREE_MEMORY_MAX    (16u * 1024 * 1024) /* octets of a tree */
#define SPF_LENGTH_ADVISED     450u                /* octets of a record that fits any answer, RFC 7208 3.4 */

#define ZONE_TEXT_MAX          (256u * 1024 * 1024) /* octets of a master file */
#define ZONE_TOKENS_MAX        4096u                /* words of one entry */
#define ZONE_INCLUDE_DEPTH     10u                  /* $INCLUDE within $INCLUDE */
#define ZONE_INCLUDES_MAX      1000u                /* of one reading, in all */
#define ZONE_TTL_DEFAULT       3600u                /* seconds, where a text says nothing */
#define ZONE_NAME_WIRE_MAX     255u
#define ZONE_NAME_TEXT_MAX     1020u /* octets of a name with all its escapes */
#define ZONE_DATA_MAX          65535u
#define ZONE_CHAIN_MAX         16u   /* CNAMEs and DNAMEs one after the other */
#define ZONEDB_COMPARED_MAX    1000u /* records of a name that a new one is compared with */
#define ZONEDB_MEMORY_MAX      ((size_t)8 * 1024 * 1024 * 1024) /* octets of all zones together */
