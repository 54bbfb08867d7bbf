/*
 * fake_clock.c
 *		A personal node whose clock is wrong: pairs and prints its status.
 *
 *   fake_clock DIR SECONDS URI
 *
 * Status 0 when the pairing came about. Built on the public interface only, so it is also the smallest application of the library.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "hdms_node.h"

static int64_t wrong;			/* milliseconds */

static int64_t
wrong_clock(void *arg)
{
	(void) arg;
	return (int64_t) time(NULL) * 1000 + wrong;
}

int
main(int argc, char **argv)
{
	HdmsNodeSecret secret = {.platform_key = (const unsigned char *) "0123456789abcdef0123456789abcdef"};
	HdmsHomeOptions options = {.clock = wrong_clock};
	HdmsEngine *engine = hdms_engine_create();
	HdmsHome   *home = NULL;
	HdmsNodeError error;
	int64_t		pairing;
	char	   *json = NULL;
	bool		paired = false;

	if (argc != 4)
		return 2;
	wrong = atol(argv[2]) * INT64_C(1000);
	if (hdms_home_create(argv[1], &secret, HDMS_SUITE_P256, NULL, &error) != HDMS_NODE_OK ||
		hdms_home_open(argv[1], &secret, &options, &home, &error) != HDMS_NODE_OK ||
		hdms_engine_attach(engine, home, &error) != HDMS_NODE_OK || hdms_home_pair(home, argv[3], &pairing, &error) != HDMS_NODE_OK)
	{
		fprintf(stderr, "fake_clock: %s\n", error.message);
		return 1;
	}
	for (int i = 0; i < 500 && !paired; i++)
	{
		free(json);
		json = NULL;
		hdms_engine_step(engine, 20);
		if (hdms_home_pairing(home, pairing, &json, &error) != HDMS_NODE_OK)
			break;
		paired = strstr(json, "\"status\":\"paired\"") != NULL;
	}
	free(json);
	if (hdms_home_status(home, &json, &error) == HDMS_NODE_OK)
		printf("%s\n", json);
	free(json);
	hdms_home_close(home);
	hdms_engine_free(engine);
	return paired ? 0 : 1;
}
