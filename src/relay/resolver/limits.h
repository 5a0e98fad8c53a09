/* Named limits of the resolver process. */
#pragma once

#define RESOLVER_CACHE_MAX   50000u       /* answers kept; the oldest use goes first */
#define RESOLVER_FLIGHTS_MAX 2000u        /* names being resolved at a time; more are answered "temporary" */
#define RESOLVER_WAITERS_MAX 20000u       /* questions waiting for them */
#define RESOLVER_ANSWER_MAX  (48u * 1024) /* octets of one encoded answer */
