/*
 * home.c
 *		Making, opening and closing a home.
 */
#include "home.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "catalogue.h"
#include "inbox.h"
#include "notary_list.h"
#include "peer.h"
#include "recovery.h"

#define DATABASE_FILE	"node.db"
#define LOCK_FILE		"lock"
#define CONFIG_FILE		"config"

/* Strangers can make this node want things; what does not fit is asked for when the message is looked at again. */
#define MAX_WANTS		256

HdmsNodeResult
node_error(HdmsNodeError *error, HdmsNodeResult result, const char *format,...)
{
	va_list		arguments;

	if (error != NULL)
	{
		error->result = result;
		va_start(arguments, format);
		vsnprintf(error->message, sizeof(error->message), format, arguments);
		va_end(arguments);
	}
	return result;
}

int64_t
home_now_ms(const HdmsHome *home)
{
	struct timespec now;

	if (home->options.clock != NULL)
		return home->options.clock(home->options.clock_arg) + home->clock_offset;
	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000 + home->clock_offset;
}

int64_t
home_now(const HdmsHome *home)
{
	return home_now_ms(home) / 1000;
}

void
home_log(const HdmsHome *home, const char *format,...)
{
	char		line[600];
	va_list		arguments;

	if (home->options.log == NULL)
		return;
	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);

	/* Parts of a line may come from others: one line, printable. */
	for (char *c = line; *c != '\0'; c++)
		if ((unsigned char) *c < 0x20 || *c == 0x7f)
			*c = ' ';
	home->options.log(home->options.log_arg, line);
}

void
home_changed(const HdmsHome *home)
{
	if (home->options.changed != NULL)
		home->options.changed(home->options.changed_arg);
}

int64_t
backoff(int64_t initial, int64_t max, int failures)
{
	int64_t		delay = initial;
	uint32_t	random = 0;

	while (failures-- > 0 && delay < max)
		delay *= 2;
	if (delay > max)
		delay = max;
	(void) hdms_random(&random, sizeof(random));
	return delay - delay / 4 + (int64_t) ((double) random / UINT32_MAX * (double) (delay / 2));
}

void
want_add(HdmsHome *home, const Pairing *pairing, WantKind kind, const char *id)
{
	Want	   *bigger;
	Want	   *want;

	for (size_t i = 0; i < home->want_count; i++)
		if (home->wants[i].kind == kind && strcmp(home->wants[i].id, id) == 0)
		{
			/* The next try goes through whoever asked last: the first one's server may be gone. */
			home->wants[i].pairing = pairing->id;
			return;
		}
	if (home->want_count == MAX_WANTS)
		return;
	bigger = realloc(home->wants, (home->want_count + 1) * sizeof(*bigger));
	if (bigger == NULL)
		return;					/* the waiting row asks again when its time comes */
	home->wants = bigger;
	want = &home->wants[home->want_count++];
	memset(want, 0, sizeof(*want));
	want->kind = kind;
	want->pairing = pairing->id;
	strcpy(want->id, id);
}

/* path/name in a buffer. */
static bool
file_path(const char *path, const char *name, char *out, size_t size)
{
	int			len = snprintf(out, size, "%s/%s", path, name);

	return len > 0 && (size_t) len < size;
}

/* The folder belongs to this user alone. */
static bool
folder_secure(const char *path, HdmsNodeError *error)
{
	struct stat status;

	if (stat(path, &status) != 0 || !S_ISDIR(status.st_mode))
		return node_error(error, HDMS_NODE_NOT_FOUND, "\"%s\" is not a folder", path), false;
	if (status.st_uid != geteuid())
		return node_error(error, HDMS_NODE_REFUSED, "\"%s\" belongs to another user", path), false;
	if ((status.st_mode & 077) != 0 && chmod(path, 0700) != 0)
		return node_error(error, HDMS_NODE_STORAGE, "cannot close \"%s\" to other users: %s", path, strerror(errno)), false;
	return true;
}

static HdmsNodeResult
folder_lock(const char *path, int *lock, HdmsNodeError *error)
{
	char		name[4096];

	if (!file_path(path, LOCK_FILE, name, sizeof(name)))
		return node_error(error, HDMS_NODE_BAD_ARGUMENT, "the home's path is too long");
	*lock = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (*lock < 0)
		return node_error(error, HDMS_NODE_STORAGE, "cannot open \"%s\": %s", name, strerror(errno));
	if (flock(*lock, LOCK_EX | LOCK_NB) == 0)
		return HDMS_NODE_OK;
	close(*lock);
	*lock = -1;
	return node_error(error, HDMS_NODE_BUSY, "another process has \"%s\" open", path);
}

static bool
seed_store(Store *store, Vault *vault, const unsigned char seed[32], HdmsSuite suite)
{
	HdmsBytes	sealed = {0};
	bool		good;

	good = vault_seal(vault, "seed", 0, seed, 32, &sealed) == HDMS_OK && store_meta_set(store, "seed", sealed.data, sealed.len) &&
		store_meta_set(store, "suite", suite == HDMS_SUITE_RSA ? "rsa" : "p256", suite == HDMS_SUITE_RSA ? 3 : 4);
	hdms_bytes_free(&sealed);
	return good;
}

/* A fresh data key, and the seed, in an empty store, which takes the vault. */
static HdmsNodeResult
store_initialise(Store *store, const HdmsNodeSecret *secret, HdmsSuite suite, const unsigned char seed[32], HdmsNodeError *error)
{
	Vault	   *vault = NULL;
	HdmsBytes	wrapped = {0};
	HdmsStatus	status = vault_create(secret, &wrapped, &vault);
	bool		good;

	if (status != HDMS_OK)
		return node_error(error, status == HDMS_BAD_ARGUMENT ? HDMS_NODE_BAD_ARGUMENT : HDMS_NODE_FAILED, "cannot make the keys: %s", hdms_status_sentence(status));
	good = store_begin(store) && store_meta_set(store, "vault", wrapped.data, wrapped.len) && seed_store(store, vault, seed, suite) && store_commit(store);
	hdms_bytes_free(&wrapped);
	store_set_vault(store, vault);
	return good ? HDMS_NODE_OK : node_error(error, HDMS_NODE_STORAGE, "cannot write the database: %s", store_error(store));
}

HdmsNodeResult
home_make(const char *path, const HdmsNodeSecret *secret, HdmsSuite suite, const unsigned char seed[32], HdmsNodeError *error)
{
	char		database[4096];
	Store	   *store = NULL;
	int			lock = -1;
	int			file;
	HdmsNodeResult result;

	if ((secret->passphrase == NULL) == (secret->platform_key == NULL) || (secret->passphrase != NULL && secret->passphrase[0] == '\0'))
		return node_error(error, HDMS_NODE_BAD_ARGUMENT, "a home needs a passphrase that is not empty, or a key");
	if (!file_path(path, DATABASE_FILE, database, sizeof(database)))
		return node_error(error, HDMS_NODE_BAD_ARGUMENT, "the home's path is too long");
	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		return node_error(error, HDMS_NODE_STORAGE, "cannot make \"%s\": %s", path, strerror(errno));
	if (!folder_secure(path, error))
		return error ? error->result : HDMS_NODE_REFUSED;
	if ((result = folder_lock(path, &lock, error)) != HDMS_NODE_OK)
		return result;

	/* SQLite gives its other files the mode of this one. */
	file = open(database, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (file < 0)
	{
		result = errno == EEXIST ? node_error(error, HDMS_NODE_REFUSED, "there is a home in \"%s\" already", path)
			: node_error(error, HDMS_NODE_STORAGE, "cannot make \"%s\": %s", database, strerror(errno));
		goto cleanup;
	}
	close(file);
	result = HDMS_NODE_STORAGE;
	if (error)
		error->result = result;
	if (!store_open(database, true, &store, error))
		goto cleanup;
	result = store_initialise(store, secret, suite, seed, error);

cleanup:
	store_close(store);
	if (store != NULL && result != HDMS_NODE_OK)
		(void) unlink(database);
	close(lock);
	return result;
}

HdmsNodeResult
hdms_home_create(const char *path, const HdmsNodeSecret *secret, HdmsSuite suite, unsigned char seed[32], HdmsNodeError *error)
{
	unsigned char own_seed[32];
	HdmsNodeResult result;

	if (hdms_random(own_seed, sizeof(own_seed)) != HDMS_OK)
		return node_error(error, HDMS_NODE_FAILED, "there are no random bytes");
	result = home_make(path, secret, suite, own_seed, error);
	if (result == HDMS_NODE_OK && seed != NULL)
		memcpy(seed, own_seed, sizeof(own_seed));
	OPENSSL_cleanse(own_seed, sizeof(own_seed));
	return result;
}

/* Opens the vault and takes the seed and the suite out of it. */
static HdmsNodeResult
home_unlock(HdmsHome *home, const HdmsNodeSecret *secret, HdmsNodeError *error)
{
	HdmsBytes	wrapped = {0};
	HdmsBytes	sealed = {0};
	HdmsBytes	seed = {0};
	HdmsBytes	suite = {0};
	Vault	   *vault = NULL;
	HdmsStatus	status;
	HdmsNodeResult result = HDMS_NODE_STORAGE;

	if (!store_meta_get(home->store, "vault", &wrapped) || !store_meta_get(home->store, "seed", &sealed) ||
		!store_meta_get(home->store, "suite", &suite))
		node_error(error, result, "cannot read the database: %s", store_error(home->store));
	else if (wrapped.len == 0 || sealed.len == 0)
		result = node_error(error, HDMS_NODE_NOT_FOUND, "the home was never finished: remove it and run init again");
	else if ((status = vault_unlock(secret, wrapped.data, wrapped.len, &vault)) != HDMS_OK)
		result = status == HDMS_CANNOT_DECRYPT ? node_error(error, HDMS_NODE_WRONG_SECRET, "that is not the passphrase of this home")
			: node_error(error, HDMS_NODE_FAILED, "cannot unlock the home: %s", hdms_status_sentence(status));
	else
	{
		store_set_vault(home->store, vault);
		if (vault_open(vault, "seed", 0, sealed.data, sealed.len, &seed) != HDMS_OK || seed.len != sizeof(home->seed))
			result = node_error(error, HDMS_NODE_STORAGE, "the recovery seed was altered");
		else
		{
			memcpy(home->seed, seed.data, sizeof(home->seed));
			home->suite = suite.len == 3 ? HDMS_SUITE_RSA : HDMS_SUITE_P256;
			result = HDMS_NODE_OK;
		}
	}
	hdms_bytes_free(&wrapped);
	hdms_bytes_free(&sealed);
	hdms_bytes_free(&suite);
	hdms_bytes_wipe(&seed);
	return result;
}

/* What was learnt of the clock: with a clock that is far ahead, everything would seem to have expired at the next start. */
static bool
clock_load(HdmsHome *home)
{
	HdmsBytes	offset = {0};

	if (!store_meta_get(home->store, "clock_offset", &offset))
		return false;
	if (offset.len > 0)
		home->clock_offset = strtoll((char *) offset.data, NULL, 10);
	hdms_bytes_free(&offset);
	return true;
}

bool
home_clock_learn(HdmsHome *home, int64_t offset)
{
	char		text[24];

	home->clock_offset = offset;
	home_log(home, "the server's clock differs by %lld seconds", (long long) (offset / 1000));
	return store_meta_set(home->store, "clock_offset", text, (size_t) snprintf(text, sizeof(text), "%lld", (long long) offset));
}

static HdmsNodeResult
home_read(HdmsHome *home, HdmsNodeError *error)
{
	if (!clock_load(home) || !pairings_load(home) || !catalogue_load(home) || !inbox_wake_all(home) || !recovery_load(home))
		return node_error(error, HDMS_NODE_STORAGE, "cannot read the database: %s", store_error(home->store));
	return HDMS_NODE_OK;
}

HdmsNodeResult
hdms_home_open(const char *path, const HdmsNodeSecret *secret, const HdmsHomeOptions *options, HdmsHome **result, HdmsNodeError *error)
{
	HdmsHome   *home = calloc(1, sizeof(*home));
	char		name[4096];
	HdmsNodeResult ended = HDMS_NODE_STORAGE;

	if (home == NULL || (home->path = strdup(path)) == NULL)
	{
		free(home);
		return node_error(error, HDMS_NODE_FAILED, "out of memory");
	}
	home->lock = -1;
	if (options != NULL)
		home->options = *options;
	config_default(&home->config);
	if (!file_path(path, CONFIG_FILE, name, sizeof(name)) || !config_read(name, &home->config, error))
	{
		ended = HDMS_NODE_BAD_ARGUMENT;
		goto failed;
	}
	if (home->options.in_memory)
	{
		if (!store_open(":memory:", true, &home->store, error))
			goto failed;
		ended = hdms_random(home->seed, sizeof(home->seed)) != HDMS_OK ? node_error(error, HDMS_NODE_FAILED, "there are no random bytes")
			: store_initialise(home->store, secret, HDMS_SUITE_P256, home->seed, error);
	}
	else
	{
		(void) file_path(path, DATABASE_FILE, name, sizeof(name));
		if (access(name, F_OK) != 0)
		{
			ended = node_error(error, HDMS_NODE_NOT_FOUND, "there is no home in \"%s\": run init first", path);
			goto failed;
		}
		if (!folder_secure(path, error))
		{
			ended = HDMS_NODE_REFUSED;
			goto failed;
		}
		if ((ended = folder_lock(path, &home->lock, error)) != HDMS_NODE_OK)
			goto failed;
		ended = HDMS_NODE_STORAGE;
		if (!store_open(name, false, &home->store, error))
			goto failed;
		ended = home_unlock(home, secret, error);
	}
	if (ended == HDMS_NODE_OK)
		ended = home_read(home, error);
	if (ended != HDMS_NODE_OK)
		goto failed;
	*result = home;
	return HDMS_NODE_OK;

failed:
	if (error)
		error->result = ended;
	hdms_home_close(home);
	return ended;
}

/*
 * Beside a service that has the home open: nothing is taken up, nothing but meta may be written.
 */
HdmsNodeResult
home_look(const char *path, const HdmsNodeSecret *secret, HdmsHome **result, HdmsNodeError *error)
{
	HdmsHome   *home = calloc(1, sizeof(*home));
	char		name[4096];
	HdmsNodeResult ended = HDMS_NODE_STORAGE;

	if (home == NULL)
		return node_error(error, HDMS_NODE_FAILED, "out of memory");
	home->lock = -1;
	config_default(&home->config);
	if (!file_path(path, DATABASE_FILE, name, sizeof(name)) || access(name, F_OK) != 0)
		ended = node_error(error, HDMS_NODE_NOT_FOUND, "there is no home in \"%s\": run init first", path);
	else if (!folder_secure(path, error))
		ended = HDMS_NODE_REFUSED;
	else if (store_open(name, false, &home->store, error))
	{
		ended = home_unlock(home, secret, error);
		if (ended == HDMS_NODE_OK && !pairings_load(home))
			ended = node_error(error, HDMS_NODE_STORAGE, "cannot read the database: %s", store_error(home->store));
	}
	if (ended == HDMS_NODE_OK)
	{
		*result = home;
		return HDMS_NODE_OK;
	}
	if (error)
		error->result = ended;
	hdms_home_close(home);
	return ended;
}

void
hdms_home_close(HdmsHome *home)
{
	if (home == NULL)
		return;
	if (home->engine != NULL)
		hdms_engine_detach(home->engine, home);
	for (size_t i = 0; i < home->pairing_count; i++)
		pairing_free(home->pairings[i]);
	for (size_t i = 0; i < home->peer_count; i++)
		peer_free(home->peers[i]);
	notary_lists_free(home);
	recovery_free(home->recovery);
	catalogue_free(home->catalogue);
	store_close(home->store);
	if (home->lock >= 0)
		close(home->lock);
	free(home->pairings);
	free(home->peers);
	free(home->wants);
	free(home->request_facts);
	free(home->path);
	OPENSSL_cleanse(home, sizeof(*home));
	free(home);
}
