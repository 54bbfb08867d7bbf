/*
 * launcher.h
 *		The process that starts and watches the workers, and the hooks that keep them out of the way of DDL.
 */
#ifndef HDMS_EXT_LAUNCHER_H
#define HDMS_EXT_LAUNCHER_H

/* In _PG_init, when preloaded. */
extern void launcher_register(void);
extern void ddl_hook_install(void);

#endif
