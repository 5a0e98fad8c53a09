/* Named limits of this library. */
#pragma once

#define AUTH_NAME_MAX          64                 /* octets of a hosting server's name */
#define AUTH_CREDENTIALS_MAX   10000              /* hosting servers of one relay */
#define AUTH_CREDENTIALS_FILE  (4u * 1024 * 1024) /* octets of the credentials file */
#define AUTH_CREDENTIALS_LINE  512                /* octets of one of its lines */
#define AUTH_VERIFIER_MAX      256                /* octets of a verifier's text */

#define SASL_MESSAGE_MAX       4096 /* octets of one decoded message of a client */
#define SASL_IDENTITY_MAX      255  /* octets of an identity: RFC 4616 section 2 wants 255 accepted */
#define SASL_PASSWORD_MAX      1024 /* octets */

#define AUTH_CRYPT_MAX         160 /* octets of an imported hash */

#define SCRAM_NONCE_LEN        24   /* octets of our part: 18 random ones in base64 */
#define SCRAM_CLIENT_NONCE_MAX 256  /* octets of the client's part */
#define SCRAM_BINDING_MAX      64   /* octets of channel binding data */
#define SCRAM_TEXT_MAX         3072 /* octets kept of the messages of one exchange */
#define SCRAM_SALT_MIN         8
#define SCRAM_SALT_MAX         64
#define SCRAM_ITERATIONS_MIN   4096    /* RFC 7677 section 4 */
#define SCRAM_ITERATIONS_MAX   1000000 /* about half a second: a file must not be able to stop the process */
