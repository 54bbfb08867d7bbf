/*
 * routes.h
 *		Where each route begins.
 */
#ifndef HDMS_SERVER_ROUTES_H
#define HDMS_SERVER_ROUTES_H

#include "request.h"

/* route_directory.c */
extern void route_register(Request *request);
extern void route_node(Request *request);

/* route_public.c */
extern void route_network(Request *request);
extern void route_notaries(Request *request);
extern void route_notaries_by_digest(Request *request);
extern void route_health(Request *request);

/* route_log.c */
extern void route_directory_checkpoint(Request *request);
extern void route_directory_shown(Request *request);
extern void route_directory_tile(Request *request);
extern void route_log(Request *request);

/* route_log_put.c */
extern void route_log_put(Request *request);

/* route_session.c */
extern void route_sessions(Request *request);

/* route_put.c */
extern void route_put(Request *request);
extern void route_put_many(Request *request);

/* route_mailbox.c */
extern void route_mailbox(Request *request);
extern void route_acknowledge(Request *request);

/* event_stream.c: begins after authentication. */
extern void event_stream_begin(Request *request);

#endif
