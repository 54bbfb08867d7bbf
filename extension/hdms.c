/*
 * hdms.c
 *		Where the library begins: settings, shared memory, hooks, the launcher.
 *
 * The functions work where the library is not preloaded too; only the workers
 * and what is told about them are missing then.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"

#include "launcher.h"
#include "roster.h"
#include "settings.h"

#ifdef PG_MODULE_MAGIC_EXT
PG_MODULE_MAGIC_EXT(.name = "hdms", .version = HDMS_VERSION);
#else
PG_MODULE_MAGIC;
#endif

PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	/* pg_upgrade starts background workers as well, which must not touch the databases then. */
	if (IsBinaryUpgrade)
		return;

	settings_define();
	ddl_hook_install();
	if (!process_shared_preload_libraries_in_progress)
		return;
	roster_request();
	launcher_register();
}
