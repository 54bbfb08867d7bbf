/*
 * erasure_journal.c
 *		The tombstones of this node in a file beside its keys.
 *
 * Only one process has the keys, so only one writes here. A line is durable before the transaction commits that erases: after a crash in
 * between, the journal has the content erased when the worker starts again.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/fd.h"

#include "erasure_journal.h"
#include "node.h"
#include "settings.h"

#define LINE_MAX_BYTES	(64 * 1024)

static char *
journal_folder(void)
{
	return psprintf("%s/%s", setting_key_directory, own_node.id);
}

static char *
journal_path(void)
{
	return psprintf("%s/erasures", journal_folder());
}

static _Noreturn void
journal_failed(const char *what, const char *path)
{
	ereport(ERROR,
			(errcode_for_file_access(),
			 errmsg("could not %s the journal of erasures \"%s\": %m", what, path),
			 errhint("Nothing is erased, and after a start nothing is sent, until that works.")));
}

/* Whether a crash left a line without its end. */
static bool
ends_in_the_middle(int fd, off_t size, const char *path)
{
	char		last;

	if (size == 0)
		return false;
	if (pread(fd, &last, 1, size - 1) != 1)
		journal_failed("read", path);
	return last != '\n';
}

void
erasure_journal_append(const char *lines)
{
	char	   *path = journal_path();
	int			fd = OpenTransientFilePerm(path, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW, 0600);
	struct stat status;
	size_t		len;

	if (fd < 0)
		journal_failed("open", path);
	if (fstat(fd, &status) != 0)
		journal_failed("look at", path);
	if (ends_in_the_middle(fd, status.st_size, path))
		lines = psprintf("\n%s", lines);
	len = strlen(lines);
	errno = 0;
	if (write(fd, lines, len) != (ssize_t) len)
	{
		if (errno == 0)
			errno = ENOSPC;
		journal_failed("write", path);
	}
	if (pg_fsync(fd) != 0)
		journal_failed("fsync", path);
	if (CloseTransientFile(fd) != 0)
		journal_failed("close", path);
	if (status.st_size == 0)
		fsync_fname(journal_folder(), true);
}

int
erasure_journal_read(int64 *offset, char **lines, int limit)
{
	char	   *path = journal_path();
	FILE	   *file = AllocateFile(path, "r");
	char	   *line = palloc(LINE_MAX_BYTES);
	bool		is_rest = false;	/* of a line that is longer than any tombstone */
	int			count = 0;

	if (file == NULL && errno == ENOENT)
		return 0;
	if (file == NULL || fseeko(file, (off_t) *offset, SEEK_SET) != 0)
		journal_failed("read", path);
	while (count < limit && fgets(line, LINE_MAX_BYTES, file) != NULL)
	{
		size_t		len = strlen(line);
		bool		is_whole = len > 0 && line[len - 1] == '\n';

		*offset = (int64) ftello(file);
		if (is_whole && !is_rest)
			lines[count++] = pnstrdup(line, len - 1);
		is_rest = !is_whole;
	}
	if (ferror(file))
		journal_failed("read", path);
	FreeFile(file);
	return count;
}
