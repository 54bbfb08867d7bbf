/*
 * catalogue.h
 *		The index in memory: what is searched of records, after unlocking.
 */
#ifndef NODE_CATALOGUE_H
#define NODE_CATALOGUE_H

#include "version.h"

/* One version. Strings are borrowed from the catalogue. */
typedef struct CatalogueEntry
{
	int64_t		id;
	int64_t		pairing;
	int64_t		received;		/* milliseconds */
	int64_t		accept_until;	/* seconds */
	unsigned char record[16];
	int32_t		number;
	int16_t		status;			/* VersionStatus */
	int16_t		type;			/* catalogue_type() */
	char		date[11];		/* "2024-01-31", or its beginning; "" when the content has none */
	char	   *label;			/* what the person sees in a list; may be "" */
} CatalogueEntry;

/* Builds it from the sealed summaries. */
extern bool catalogue_load(HdmsHome *home);
extern void catalogue_free(Catalogue *catalogue);

/* The summary of a content: {"t": type, "d": date, "l": label}, malloc'ed. NULL when memory is short. */
extern char *catalogue_summary(const char *type, const char *content, size_t len);

/* Called by version.c in the transaction that changes a row; after a rollback the catalogue is rebuilt. */
extern bool catalogue_add(HdmsHome *home, const Version *version, const char *summary);
extern void catalogue_note(HdmsHome *home, const Version *version);

/* A transaction was rolled back: what was noted may be wrong. */
extern void catalogue_doubt(HdmsHome *home);

/* All entries by ascending id; rebuilds when in doubt. NULL on failure, or with *count 0. */
extern const CatalogueEntry *catalogue_entries(HdmsHome *home, size_t *count);
extern const char *catalogue_type(const HdmsHome *home, const CatalogueEntry *entry);

#endif
