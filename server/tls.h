/*
 * tls.h
 *		The certificate that the HTTPS server shows, replaceable while it runs.
 */
#ifndef HDMS_SERVER_TLS_H
#define HDMS_SERVER_TLS_H

#include <stdbool.h>

typedef struct Tls Tls;

/* Loads the files; NULL after logging what is wrong. */
extern Tls *tls_load(const char *certificate_file, const char *key_file);

/* Replaces what new connections are shown; false, and nothing changes, when the files are unusable. */
extern bool tls_reload(Tls *tls, const char *certificate_file, const char *key_file);
extern void tls_free(Tls *tls);

/* For MHD_OPTION_HTTPS_CERT_CALLBACK, which has no argument of its own: there is one Tls in a process. */
extern void *tls_callback(void);

#endif
