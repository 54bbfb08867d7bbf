/*
 * network_key.c
 *		The network key: an Ed25519 JWK in a file of mode 0600, never in the database.
 *
 * Whoever has it can admit institutions and name notaries, so a file with lax permissions stops the server. A new key
 * is written whole to a temporary file and linked into place: a crash leaves no half a key, and no key is overwritten.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "network_key.h"

#define KEY_FILE_MAX 4096

HdmsKey *
network_key_load(const char *path)
{
	char		text[KEY_FILE_MAX];
	struct stat info;
	ssize_t		len;
	HdmsStatus	status;
	HdmsKey    *key = NULL;
	int			fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &info) != 0)
	{
		fprintf(stderr, "hdms-server: cannot open the network key \"%s\": %s\n", path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	if ((info.st_mode & 077) != 0)
	{
		fprintf(stderr, "hdms-server: the network key \"%s\" may be read by others: its mode must be 0600\n", path);
		close(fd);
		return NULL;
	}
	len = read(fd, text, sizeof(text));
	close(fd);
	status = len > 0 ? hdms_key_from_jwk(text, (size_t) len, &key) : HDMS_BAD_FORMAT;
	OPENSSL_cleanse(text, sizeof(text));
	if (status == HDMS_OK && (hdms_key_type(key) != HDMS_KEY_ED25519 || !hdms_key_is_private(key)))
	{
		hdms_key_free(key);
		key = NULL;
		status = HDMS_BAD_KEY;
	}
	if (status != HDMS_OK)
		fprintf(stderr, "hdms-server: the network key \"%s\" is unusable: %s\n", path, hdms_status_sentence(status));
	return key;
}

static bool
write_whole(int fd, const char *text)
{
	size_t		len = strlen(text);

	while (len > 0)
	{
		ssize_t		written = write(fd, text, len);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return false;
		text += written;
		len -= (size_t) written;
	}
	return fsync(fd) == 0;
}

/* Makes the new name durable. */
static void
sync_directory_of(const char *path)
{
	char	   *copy = strdup(path);
	char	   *slash = copy != NULL ? strrchr(copy, '/') : NULL;
	int			fd;

	if (slash != NULL)
		slash[slash == copy ? 1 : 0] = '\0';
	fd = open(slash != NULL ? copy : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0)
	{
		(void) !fsync(fd);
		close(fd);
	}
	free(copy);
}

static bool
network_key_write(const char *path)
{
	HdmsKey    *key = NULL;
	char	   *jwk = NULL;
	char		temporary[4096];
	int			fd = -1;
	bool		ok = false;

	if (snprintf(temporary, sizeof(temporary), "%s.%ld.new", path, (long) getpid()) >= (int) sizeof(temporary))
		return false;
	if (hdms_key_generate(HDMS_KEY_ED25519, 0, &key) != HDMS_OK || hdms_key_to_jwk(key, true, &jwk) != HDMS_OK)
		goto cleanup;
	fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || !write_whole(fd, jwk) || !write_whole(fd, "\n"))
	{
		fprintf(stderr, "hdms-server: cannot write \"%s\": %s\n", temporary, strerror(errno));
		goto cleanup;
	}
	if (link(temporary, path) != 0 && errno != EEXIST)
	{
		fprintf(stderr, "hdms-server: cannot make \"%s\": %s\n", path, strerror(errno));
		goto cleanup;
	}
	sync_directory_of(path);
	ok = true;

cleanup:
	if (fd >= 0)
	{
		close(fd);
		unlink(temporary);
	}
	hdms_string_wipe(jwk);
	hdms_key_free(key);
	return ok;
}

HdmsKey *
network_key_make(const char *path, bool *made)
{
	*made = false;
	if (access(path, F_OK) != 0)
	{
		if (!network_key_write(path))
			return NULL;
		*made = true;
	}
	return network_key_load(path);
}
