/*
 * http_server.h
 *		The HTTP side: libmicrohttpd's threads and what they call.
 */
#ifndef HDMS_SERVER_HTTP_SERVER_H
#define HDMS_SERVER_HTTP_SERVER_H

#include <microhttpd.h>

#include "server.h"

typedef struct HttpServer HttpServer;

/* Starts listening; NULL after logging why not. */
extern HttpServer *http_server_start(Server *server);

/* The port of the interface, and of the metrics (0: none). */
extern uint16_t http_server_port(const HttpServer *http);
extern uint16_t http_server_metrics_port(const HttpServer *http);

/* Takes no new connections any more. */
extern void http_server_quiesce(HttpServer *http);

/* Ends. No request may be suspended. */
extern void http_server_stop(HttpServer *http);

#endif
