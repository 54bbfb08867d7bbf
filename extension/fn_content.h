/*
 * fn_content.h
 *		What EMRs hand in as content: checked, typed and digested before anything is written.
 */
#ifndef HDMS_EXT_FN_CONTENT_H
#define HDMS_EXT_FN_CONTENT_H

#include "postgres.h"

#include "state.h"

/* Content that may become a version of a record. */
typedef struct Content
{
	const char *data;			/* borrowed: the exact bytes */
	size_t		len;
	char		type[HDMS_TYPE_MAX + 1];
	unsigned char digest[HDMS_DIGEST_SIZE];		/* of the content without insignificant white space */
} Content;

/* Why something cannot become content. Never quotes it. */
typedef struct ContentProblem
{
	int			sqlstate;
	const char *message;
	char	   *detail;			/* palloc'ed, may be NULL */
	const char *hint;			/* may be NULL */
} ContentProblem;

/* Checks bytes and fills content, or fills problem and returns false. ERROR only when memory runs out. */
extern bool content_prepare(const char *data, size_t len, Content *content, ContentProblem *problem);

/* Raises the problem as an ERROR. */
extern _Noreturn void content_refuse(const ContentProblem *problem);

#endif
