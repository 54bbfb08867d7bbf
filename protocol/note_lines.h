/*
 * note_lines.h
 *		The parts of a C2SP signed note, and its keys.  Internal to protocol/.
 */
#ifndef HDMS_NOTE_LINES_H
#define HDMS_NOTE_LINES_H

#include "note.h"

#define HDMS_NOTE_KEY_ID_SIZE	4
#define HDMS_NOTE_LOG			0x01	/* signature types */
#define HDMS_NOTE_COSIGNATURE	0x04

/* One signature line: the name points into the note, the blob (key id and signature) is owned. */
typedef struct HdmsNoteLine
{
	const char *name;
	size_t		name_len;
	HdmsBytes	blob;
} HdmsNoteLine;

typedef struct HdmsNoteParts
{
	const char *text;			/* in the note; with its final line feed */
	size_t		text_len;
	int			count;
	HdmsNoteLine lines[HDMS_NOTE_MAX_SIGNATURES];
} HdmsNoteParts;

/*
 * Splits a note: form, UTF-8, control characters, names, base64, no two lines of one key.
 * HDMS_TOO_LARGE over HDMS_NOTE_MAX or HDMS_NOTE_MAX_SIGNATURES, HDMS_BAD_ENCODING, HDMS_BAD_FORMAT.
 */
extern HdmsStatus hdms_note_split(const char *note, size_t len, HdmsNoteParts *parts);
extern void hdms_note_parts_free(HdmsNoteParts *parts);

/* What follows the key id in the line of that key; HDMS_BAD_SIGNATURE when there is no such line. Borrowed. */
extern HdmsStatus hdms_note_find(const HdmsNoteParts *parts, const char *name, const unsigned char id[HDMS_NOTE_KEY_ID_SIZE],
								 const unsigned char **signature, size_t *len);

/* The key id: SHA-256(name, line feed, type, public key), its first four bytes. HDMS_BAD_KEY unless Ed25519. */
extern HdmsStatus hdms_note_key_id(const char *name, const HdmsKey *key, unsigned char type,
								   unsigned char id[HDMS_NOTE_KEY_ID_SIZE]);

/* A signature line with its line feed, malloc'ed. */
extern HdmsStatus hdms_note_line(const char *name, const unsigned char id[HDMS_NOTE_KEY_ID_SIZE],
								 const void *signature, size_t len, char **line);

/* A canonical decimal number that fits int64: no sign, no leading zeroes. */
extern HdmsStatus hdms_note_number(const char *text, size_t len, uint64_t *number);

#endif
