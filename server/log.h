/*
 * log.h
 *		Events on stderr, one JSON object a line.
 *
 * Callers name what happened and give a few fields. Bodies, secrets, session ids and signatures are never fields.
 */
#ifndef HDMS_SERVER_LOG_H
#define HDMS_SERVER_LOG_H

#include <stdint.h>

typedef enum LogLevel
{
	LEVEL_DEBUG, LEVEL_INFO, LEVEL_WARNING, LEVEL_ERROR
} LogLevel;

/* The process's name in each line; kept by reference. */
extern void log_set_name(const char *name);
extern void log_set_level(LogLevel level);
extern int	log_level_parse(const char *text, LogLevel *level);

/*
 * Writes one event. Fields are pairs ending with NULL: "name=s" with a const char *, or "name=i" with an int64_t.
 * Over-long lines are cut at a field.
 */
extern void log_event(LogLevel level, const char *event, ...) __attribute__((sentinel));

#endif
