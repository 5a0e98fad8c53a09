/* Named limits of the configuration. */
#pragma once

#define CONF_FILE_MAX      (1024u * 1024) /* octets of one configuration file */
#define CONF_INCLUDE_DEPTH 8u             /* files open inside each other */
#define CONF_INCLUDES_MAX  64u            /* files in all */
#define CONF_VALUE_MAX     4096u          /* octets of one value */
#define CONF_LIST_MAX      256u           /* values of one list */
#define CONF_LISTENERS_MAX 64u
#define CONF_ROUTES_MAX    4096u
#define CONF_ARENA_MAX     (8u * 1024 * 1024) /* octets of a configuration in memory */
#define CONF_EPOCH_MAX     (4u * 1024 * 1024) /* octets of an encoded configuration */
