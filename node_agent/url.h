/*
 * url.h
 *		The server's address: what may be talked to, and what is signed of it.
 */
#ifndef NODE_URL_H
#define NODE_URL_H

#include <stdbool.h>
#include <stddef.h>

/* https, or http to a loopback address, or any http where the settings allow it. */
extern bool url_allowed(const char *url, bool allow_http);

/* "@authority" of RFC 9421: host in lower case, port unless the scheme's default. False when it does not fit or is malformed. */
extern bool url_authority(const char *url, char *authority, size_t size);

/* The path after the authority, "" mostly: a server may live below a prefix. */
extern const char *url_path(const char *url);

#endif
