/*
 * keyring.c
 *		The node's private keys, and whether this database is the one that may use them.
 *
 * A folder for each node below hdms.key_directory holds its keys, a file "owner"
 * that says which database of which cluster uses them, and a file "lock". Keys
 * outlive the database: so a restored backup, a copied cluster, a copied database
 * or a promoted standby finds keys that belong to another, which may be
 * alive. Two databases that sign as one node would give one record two
 * successors; so whoever is not the owner stays silent until a person says,
 * with hdms.adopt_keys(), that the other one is gone.
 */
#include "postgres.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/xlog.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/timestamp.h"

#include "claims.h"
#include "keyring.h"
#include "keyring_inside.h"
#include "node.h"
#include "settings.h"

const KeyStore *const key_store = &key_store_files;

static int	lock_fd = -1;
static TimestampTz opened_at;
static char opened_in[MAXPGPATH];	/* hdms.key_directory, as it was then */

const KeyPlace key_places[KEY_PLACES] = {
	{"signing", HDMS_ROLE_SIGN, &own_node.signing},
	{"encryption", HDMS_ROLE_ENCRYPT, &own_node.encryption},
	{"log", HDMS_ROLE_LOG, &own_node.log},
	{"cosigner", HDMS_ROLE_COSIGNER, &own_node.cosigner},
};

bool
keyring_is_open(void)
{
	return lock_fd >= 0 && own_node.signing != NULL && strcmp(opened_in, setting_key_directory) == 0;
}

TimestampTz
keyring_opened_at(void)
{
	return opened_at;
}

void
keyring_close(void)
{
	for (int i = 0; i < KEY_PLACES; i++)
	{
		hdms_key_free(*key_places[i].own);
		*key_places[i].own = NULL;
	}
	for (int i = 0; i < own_node.former_count; i++)
		hdms_key_free(own_node.former_encryption[i]);
	free(own_node.former_encryption);
	own_node.former_encryption = NULL;
	own_node.former_count = 0;
	hdms_history_free(own_node.history);
	own_node.history = NULL;
	own_node.ready = false;
	if (lock_fd >= 0)
	{
		close(lock_fd);
		lock_fd = -1;
	}
}

/* hdms.key_directory must be there, closed to others, and no part of what a base backup copies. */
static bool
directory_is_fit(char **problem)
{
	struct stat status;
	char	   *inside;
	char	   *data;
	bool		nested;

	if (setting_key_directory[0] == '\0')
	{
		*problem = pstrdup("hdms.key_directory is not set");
		return false;
	}
	if (stat(setting_key_directory, &status) != 0)
	{
		*problem = psprintf("hdms.key_directory \"%s\" cannot be used: %s", setting_key_directory, strerror(errno));
		return false;
	}
	if (!S_ISDIR(status.st_mode) || status.st_uid != geteuid() || (status.st_mode & 077) != 0)
	{
		*problem = psprintf("hdms.key_directory \"%s\" must be a folder that belongs to the server's user, with permissions 0700",
							setting_key_directory);
		return false;
	}
	inside = realpath(setting_key_directory, NULL);
	data = realpath(DataDir, NULL);
	nested = inside == NULL || data == NULL ||
		(strncmp(inside, data, strlen(data)) == 0 && (inside[strlen(data)] == '/' || inside[strlen(data)] == '\0'));
	free(inside);
	free(data);
	if (nested)
	{
		*problem = psprintf("hdms.key_directory \"%s\" lies inside the data directory: a base backup would take the keys along",
							setting_key_directory);
		return false;
	}
	return true;
}

/* The folder that new keys are made in: one for each database, so that what a crash left is found. */
static char *
new_folder(void)
{
	return psprintf("%s/new-" UINT64_FORMAT "-%u", setting_key_directory, GetSystemIdentifier(), MyDatabaseId);
}

char *
keyring_folder(const char *node_id)
{
	return psprintf("%s/%s", setting_key_directory, node_id);
}

/* Removes a folder of files that never became a node's. */
static void
remove_folder(const char *folder)
{
	DIR		   *listing = opendir(folder);
	struct dirent *entry;

	if (listing == NULL)
		return;
	while ((entry = readdir(listing)) != NULL)
	{
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			unlinkat(dirfd(listing), entry->d_name, 0);
	}
	closedir(listing);
	rmdir(folder);
}

/* This database, as the file "owner" describes one. */
static json_t *
owner_now(const char *database)
{
	char	   *data = realpath(DataDir, NULL);
	char	   *system_identifier = psprintf(UINT64_FORMAT, GetSystemIdentifier());
	json_t	   *owner = json_pack("{s:s, s:I, s:s, s:I, s:s}",
								  "system_identifier", system_identifier,
								  "timeline", (json_int_t) GetWALInsertionTimeLine(),
								  "data_directory", data != NULL ? data : DataDir,
								  "database_oid", (json_int_t) MyDatabaseId,
								  "database", database);

	free(data);
	return owner;
}

static bool
owner_write(const char *folder, const char *database, char **problem)
{
	json_t	   *owner = owner_now(database);
	char	   *text = owner != NULL ? json_dumps(owner, JSON_INDENT(2)) : NULL;
	bool		written = false;

	json_decref(owner);
	if (text == NULL)
		*problem = pstrdup("could not describe this database");
	else
		written = key_file_write(folder, "owner", text, problem);
	free(text);
	return written;
}

/* Whether the keys in the folder are this database's. The database's name is for people: it may have been changed. */
static bool
owner_is_this(const char *folder, char **problem)
{
	char	   *text = key_file_read(folder, "owner", KEY_FILE_MAX, problem);
	json_t	   *owner = NULL;
	json_t	   *now = owner_now("");
	const char *const compared[] = {"system_identifier", "data_directory", "timeline", "database_oid"};
	bool		same = true;

	if (text == NULL || hdms_claims_parse(text, strlen(text), &owner) != HDMS_OK || now == NULL)
	{
		if (text != NULL)
			*problem = psprintf("\"%s/owner\" cannot be read", folder);
		same = false;
	}
	for (int i = 0; same && i < (int) lengthof(compared); i++)
	{
		const json_t *said = json_object_get(owner, compared[i]);
		const json_t *seen = json_object_get(now, compared[i]);

		if (json_equal((json_t *) said, (json_t *) seen))
			continue;
		same = false;
		*problem = psprintf("the private keys of node %s belong to database \"%s\" (oid %lld) of the cluster in \"%s\" "
							"(system identifier %s, timeline %lld), not to this one (%s differs); "
							"if that one is gone for good, call hdms.adopt_keys()",
							strrchr(folder, '/') + 1,
							json_string_value(json_object_get(owner, "database")) ? json_string_value(json_object_get(owner, "database")) : "?",
							(long long) json_integer_value(json_object_get(owner, "database_oid")),
							json_string_value(json_object_get(owner, "data_directory")) ? json_string_value(json_object_get(owner, "data_directory")) : "?",
							json_string_value(json_object_get(owner, "system_identifier")) ? json_string_value(json_object_get(owner, "system_identifier")) : "?",
							(long long) json_integer_value(json_object_get(owner, "timeline")), compared[i]);
	}
	free(text);
	json_decref(owner);
	json_decref(now);
	return same;
}

static bool
folder_lock(const char *folder, char **problem)
{
	char	   *path = psprintf("%s/lock", folder);
	int			fd = BasicOpenFilePerm(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
	{
		*problem = psprintf("could not open \"%s\": %s", path, strerror(errno));
		return false;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) != 0)
	{
		*problem = psprintf("the private keys in \"%s\" are in use by another process", folder);
		close(fd);
		return false;
	}
	lock_fd = fd;
	opened_at = GetCurrentTimestamp();
	strlcpy(opened_in, setting_key_directory, sizeof(opened_in));
	return true;
}

char *
keyring_make(const char *display_name, const char *database, char **problem)
{
	HdmsNodeKeys keys = {{NULL}, NULL};
	HdmsKey    *recovery = NULL;
	HdmsKeyType type = setting_key_suite == KEY_SUITE_P256 ? HDMS_KEY_P256 : HDMS_KEY_RSA;
	int			bits = setting_key_suite;
	char	   *folder;
	char	   *history = NULL;
	HdmsStatus	status;

	keyring_close();
	if (!directory_is_fit(problem))
		return NULL;
	folder = new_folder();
	remove_folder(folder);
	if (mkdir(folder, 0700) != 0)
	{
		*problem = psprintf("could not create \"%s\": %s", folder, strerror(errno));
		return NULL;
	}
	if (!folder_lock(folder, problem) || !owner_write(folder, database, problem))
		goto failed;
	for (int i = 0; i < KEY_PLACES; i++)
	{
		bool		ed25519 = key_places[i].role == HDMS_ROLE_LOG || key_places[i].role == HDMS_ROLE_COSIGNER;

		*key_places[i].own = key_store->make(folder, key_places[i].label, ed25519 ? HDMS_KEY_ED25519 : type, ed25519 ? 0 : bits, problem);
		if (*key_places[i].own == NULL)
			goto failed;
		keys.role[key_places[i].role] = *key_places[i].own;
	}
	recovery = key_store->make(folder, "recovery", type, bits, problem);
	if (recovery == NULL)
		goto failed;
	keys.recovery = recovery;
	status = hdms_history_create(HDMS_INSTITUTION, display_name, &keys, node_now(), &history);
	hdms_key_free(recovery);
	if (status == HDMS_OK)
		return history;
	*problem = psprintf("could not make the node's key history: %s", hdms_status_sentence(status));

failed:
	keyring_close();
	remove_folder(folder);
	return NULL;
}

bool
keyring_settle(const char *node_id, char **problem)
{
	if (rename(new_folder(), keyring_folder(node_id)) != 0)
	{
		*problem = psprintf("could not rename \"%s\": %s", new_folder(), strerror(errno));
		return false;
	}
	fsync_fname(setting_key_directory, true);
	return true;
}

/* After a crash between storing the node's id and naming its folder. */
static bool
folder_find(const char *node_id, char **problem)
{
	char	   *folder = keyring_folder(node_id);
	struct stat status;
	HdmsKey    *key;
	bool		is_ours;

	if (stat(folder, &status) == 0)
		return true;
	key = stat(new_folder(), &status) == 0 ? key_store->load(new_folder(), "signing", problem) : NULL;
	is_ours = key != NULL && strcmp(hdms_key_thumbprint(key), node_id) == 0;
	hdms_key_free(key);
	if (is_ours)
		return keyring_settle(node_id, problem);
	*problem = psprintf("the private keys of node %s are not in hdms.key_directory: \"%s\" does not exist", node_id, folder);
	return false;
}

bool
keyring_take_over(const char *node_id, const char *database, char **problem)
{
	char	   *folder = keyring_folder(node_id);
	struct stat status;

	if (!directory_is_fit(problem))
		return false;
	if (stat(folder, &status) != 0)
	{
		*problem = psprintf("make the folder \"%s\" (0700) and put recovery.jwk into it (0600), both of the server's user", folder);
		return false;
	}
	return folder_lock(folder, problem) && owner_write(folder, database, problem);
}

bool
keyring_open(const char *node_id, const char *history, const char *database, bool adopt, char **problem)
{
	char	   *folder;

	keyring_close();
	if (!directory_is_fit(problem) || !folder_find(node_id, problem))
		return false;
	folder = keyring_folder(node_id);

	/* Who holds the lock is alive, and cannot be taken over from. */
	if (!folder_lock(folder, problem))
		return false;
	if ((adopt ? owner_write(folder, database, problem) : owner_is_this(folder, problem)) && keyring_load(folder, history, problem))
		return true;
	keyring_close();
	return false;
}
