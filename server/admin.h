/*
 * admin.h
 *		The operator's commands other than serve. Each returns the exit status.
 */
#ifndef HDMS_SERVER_ADMIN_H
#define HDMS_SERVER_ADMIN_H

#include "config.h"

extern int	admin_init(const Config *config);
extern int	admin_migrate(const Config *config);
extern int	admin_pending(const Config *config);
extern int	admin_nodes(const Config *config);
extern int	admin_admit(const Config *config, const char *node, bool notary);
extern int	admin_thaw(const Config *config, const char *node);

#endif
