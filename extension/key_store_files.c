/*
 * key_store_files.c
 *		Private keys as JWK files.
 *
 * No PostgreSQL memory holds a private key: it is read into malloc'ed memory
 * that is wiped, and nothing here raises an error while it exists.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "storage/fd.h"

#include "key_store.h"

static void
say_errno(char **problem, const char *what, const char *path)
{
	int			number = errno;

	*problem = psprintf("could not %s \"%s\": %s", what, path, strerror(number));
}

bool
key_file_write(const char *folder, const char *name, const char *text, char **problem)
{
	char	   *path = psprintf("%s/%s", folder, name);
	char	   *temporary = psprintf("%s/%s.tmp", folder, name);
	size_t		len = strlen(text);
	int			fd;

	unlink(temporary);
	fd = BasicOpenFilePerm(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	if (fd < 0)
	{
		say_errno(problem, "create", temporary);
		return false;
	}
	errno = 0;
	if (write(fd, text, len) != (ssize_t) len)
	{
		if (errno == 0)
			errno = ENOSPC;
		say_errno(problem, "write", temporary);
		close(fd);
		return false;
	}
	if (fsync(fd) != 0)
	{
		say_errno(problem, "fsync", temporary);
		close(fd);
		return false;
	}
	close(fd);
	if (rename(temporary, path) != 0)
	{
		say_errno(problem, "rename", temporary);
		return false;
	}
	fsync_fname(folder, true);
	return true;
}

char *
key_file_read(const char *folder, const char *name, size_t max, char **problem)
{
	char	   *path = psprintf("%s/%s", folder, name);
	char	   *text = NULL;
	struct stat status;
	ssize_t		got;
	int			fd = BasicOpenFile(path, O_RDONLY | O_NOFOLLOW);

	if (fd < 0)
	{
		say_errno(problem, "open", path);
		return NULL;
	}
	if (fstat(fd, &status) != 0)
		say_errno(problem, "look at", path);
	else if (!S_ISREG(status.st_mode) || status.st_uid != geteuid() || (status.st_mode & 077) != 0)
		*problem = psprintf("\"%s\" must be a file that belongs to the server's user, with permissions 0600", path);
	else if (status.st_size <= 0 || (uint64) status.st_size > max)
		*problem = psprintf("\"%s\" has a size that it should not have", path);
	else if ((text = calloc(1, status.st_size + 1)) == NULL)
		*problem = psprintf("out of memory while reading \"%s\"", path);
	if (text != NULL)
	{
		got = read(fd, text, status.st_size);
		if (got != status.st_size)
		{
			say_errno(problem, "read", path);
			hdms_string_wipe(text);
			text = NULL;
		}
	}
	close(fd);
	return text;
}

static HdmsKey *
file_key_make(const char *folder, const char *label, HdmsKeyType type, int bits, char **problem)
{
	HdmsKey    *key = NULL;
	char	   *jwk = NULL;
	HdmsStatus	status = hdms_key_generate(type, bits, &key);
	bool		written = false;

	if (status == HDMS_OK)
		status = hdms_key_to_jwk(key, true, &jwk);
	if (status != HDMS_OK)
		*problem = psprintf("could not make the %s key: %s", label, hdms_status_sentence(status));
	else
		written = key_file_write(folder, psprintf("%s.jwk", label), jwk, problem);
	hdms_string_wipe(jwk);
	if (!written)
	{
		hdms_key_free(key);
		return NULL;
	}
	return key;
}

static HdmsKey *
file_key_load(const char *folder, const char *label, char **problem)
{
	char	   *name = psprintf("%s.jwk", label);
	char	   *jwk = key_file_read(folder, name, KEY_FILE_MAX, problem);
	HdmsKey    *key = NULL;
	HdmsStatus	status;

	if (jwk == NULL)
		return NULL;
	status = hdms_key_from_jwk(jwk, strlen(jwk), &key);
	hdms_string_wipe(jwk);
	if (status != HDMS_OK)
		*problem = psprintf("\"%s/%s\" is not a key: %s", folder, name, hdms_status_sentence(status));
	else if (!hdms_key_is_private(key))
	{
		*problem = psprintf("\"%s/%s\" is not a private key", folder, name);
		hdms_key_free(key);
		key = NULL;
	}
	return key;
}

static bool
file_key_exists(const char *folder, const char *label)
{
	struct stat status;

	return lstat(psprintf("%s/%s.jwk", folder, label), &status) == 0;
}

static bool
file_key_rename(const char *folder, const char *from, const char *to, char **problem)
{
	char	   *old_path = psprintf("%s/%s.jwk", folder, from);

	if (rename(old_path, psprintf("%s/%s.jwk", folder, to)) != 0)
	{
		say_errno(problem, "rename", old_path);
		return false;
	}
	fsync_fname(folder, true);
	return true;
}

/* What a file system keeps of overwritten blocks is beyond this; what a later reader of the folder finds is not. */
static bool
file_key_destroy(const char *folder, const char *label, char **problem)
{
	char	   *path = psprintf("%s/%s.jwk", folder, label);
	static const char nothing[512];
	struct stat status;
	int			fd = BasicOpenFile(path, O_WRONLY | O_NOFOLLOW);
	bool		overwritten;

	if (fd < 0 && errno == ENOENT)
		return true;
	if (fd < 0)
	{
		say_errno(problem, "open", path);
		return false;
	}
	overwritten = fstat(fd, &status) == 0;
	for (off_t done = 0; overwritten && done < status.st_size; done += sizeof(nothing))
	{
		size_t		len = Min(status.st_size - done, (off_t) sizeof(nothing));

		overwritten = write(fd, nothing, len) == (ssize_t) len;
	}
	overwritten = overwritten && fsync(fd) == 0;
	if (!overwritten)
		say_errno(problem, "overwrite", path);
	close(fd);
	if (unlink(path) != 0)
	{
		say_errno(problem, "remove", path);
		return false;
	}
	fsync_fname(folder, true);
	return overwritten;
}

const KeyStore key_store_files = {"files", file_key_make, file_key_load, file_key_exists, file_key_rename, file_key_destroy};
