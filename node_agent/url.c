/*
 * url.c
 *		The server's address.
 */
#include "url.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

/* The part after "://"; NULL when the scheme is neither http nor https. */
static const char *
after_scheme(const char *url, bool *is_https)
{
	*is_https = strncasecmp(url, "https://", 8) == 0;
	if (*is_https)
		return url + 8;
	return strncasecmp(url, "http://", 7) == 0 ? url + 7 : NULL;
}

/* Whole authority in lower case; user names are refused. */
static bool
copy_authority(const char *start, char *out, size_t size)
{
	size_t		len = strcspn(start, "/?#");

	if (len == 0 || len >= size || memchr(start, '@', len) != NULL)
		return false;
	for (size_t i = 0; i < len; i++)
	{
		if (!isgraph((unsigned char) start[i]))
			return false;
		out[i] = (char) tolower((unsigned char) start[i]);
	}
	out[len] = '\0';
	return true;
}

bool
url_authority(const char *url, char *authority, size_t size)
{
	bool		is_https;
	const char *start = after_scheme(url, &is_https);
	const char *port = is_https ? ":443" : ":80";
	size_t		len;

	if (start == NULL || !copy_authority(start, authority, size))
		return false;
	len = strlen(authority);
	if (len > strlen(port) && strcmp(authority + len - strlen(port), port) == 0)
		authority[len - strlen(port)] = '\0';
	return true;
}

const char *
url_path(const char *url)
{
	bool		is_https;
	const char *start = after_scheme(url, &is_https);

	return start == NULL ? "" : start + strcspn(start, "/?#");
}

static bool
is_loopback(const char *authority)
{
	char		host[300];
	char	   *colon;

	strncpy(host, authority, sizeof(host) - 1);
	host[sizeof(host) - 1] = '\0';
	if (strncmp(host, "[::1]", 5) == 0 && (host[5] == '\0' || host[5] == ':'))
		return true;
	if ((colon = strchr(host, ':')) != NULL)
		*colon = '\0';
	if (strcmp(host, "localhost") == 0)
		return true;

	/* 127.0.0.0/8 written as four numbers: "127.example.com" is somebody's name. */
	return strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") == strlen(host);
}

bool
url_allowed(const char *url, bool allow_http)
{
	bool		is_https;
	const char *start = after_scheme(url, &is_https);
	char		authority[300];

	if (start == NULL || !copy_authority(start, authority, sizeof(authority)) || strpbrk(start, "?#") != NULL)
		return false;
	return is_https || allow_http || is_loopback(authority);
}
