/*
 * serve.h
 *		hdms-server serve: the running server's life from start to SIGTERM.
 */
#ifndef HDMS_SERVER_SERVE_H
#define HDMS_SERVER_SERVE_H

#include "config.h"

/* Takes config. config_path is read again on SIGHUP. Returns the exit status. */
extern int	serve(Config *config, const char *config_path);

#endif
