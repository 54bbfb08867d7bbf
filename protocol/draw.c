/*
 * draw.c
 *		Which notary a record goes to: rendezvous hashing over the pinned list.
 *
 * The seed is the issuer's and the VRF key the patient's, so neither can choose alone;
 * the issuer's own notary never takes part.
 */
#include <stdlib.h>
#include <string.h>

#include "notarisation.h"

static const char draw_label[] = "hdms-draw";

typedef struct Score
{
	unsigned char hash[HDMS_DIGEST_SIZE];
	const HdmsNotary *notary;
} Score;

static HdmsStatus
score_notary(const HdmsNotary *notary, const unsigned char output[HDMS_VRF_OUTPUT_SIZE], Score *score)
{
	unsigned char input[sizeof(draw_label) - 1 + HDMS_VRF_OUTPUT_SIZE + HDMS_DIGEST_TEXT];
	unsigned char *at = input;

	at = mempcpy(at, draw_label, sizeof(draw_label) - 1);
	at = mempcpy(at, output, HDMS_VRF_OUTPUT_SIZE);
	memcpy(at, notary->node, HDMS_DIGEST_TEXT);
	score->notary = notary;
	return hdms_sha256(input, sizeof(input), score->hash);
}

static int
highest_first(const void *a, const void *b)
{
	return memcmp(((const Score *) b)->hash, ((const Score *) a)->hash, HDMS_DIGEST_SIZE);
}

HdmsStatus
hdms_draw(const HdmsNotaryList *list, const unsigned char output[HDMS_VRF_OUTPUT_SIZE],
		  const char *issuer, const HdmsNotary **order, size_t *count)
{
	Score	   *scores;
	size_t		scored = 0;
	HdmsStatus	status = HDMS_OK;

	if (list == NULL || issuer == NULL || order == NULL || count == NULL)
		return HDMS_BAD_ARGUMENT;
	if ((scores = malloc((list->count + 1) * sizeof(*scores))) == NULL)
		return HDMS_OUT_OF_MEMORY;
	for (size_t i = 0; i < list->count && status == HDMS_OK; i++)
	{
		if (strcmp(list->notaries[i].node, issuer) != 0)
			status = score_notary(&list->notaries[i], output, &scores[scored++]);
	}
	if (status == HDMS_OK)
	{
		qsort(scores, scored, sizeof(*scores), highest_first);
		for (size_t i = 0; i < scored; i++)
			order[i] = scores[i].notary;
		*count = scored;
	}
	free(scores);
	return status;
}
