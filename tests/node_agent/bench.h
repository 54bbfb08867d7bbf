/*
 * bench.h
 *		A patient's home and the simulated network in one process, without HTTP: every message passes through the test's hands.
 */
#ifndef BENCH_H
#define BENCH_H

#include "catalogue.h"
#include "flow.h"
#include "inbox.h"
#include "notary_list.h"
#include "sim.h"

/* What happens to one message on its way. */
typedef enum Fate
{
	FATE_DELIVER, FATE_LOSE, FATE_DOUBLE, FATE_DELAY
} Fate;

typedef struct Bench
{
	Sim			sim;
	char		path[64];
	HdmsHome   *home;
	Pairing    *pairing;
	bool		crash_between;	/* the home dies after storing, before acting, once for each arrival */
	bool		no_directory;	/* wants stay unanswered */

	/* Asked for each message: type, and how many of that type went before. NULL: all are delivered. */
	Fate		(*fate) (void *arg, const char *type, int number);
	void	   *fate_arg;
	struct
	{
		char		type[HDMS_MESSAGE_TYPE_MAX];
		int			count;
	}			seen[32];
	bool		hold;			/* delayed mail stays delayed; otherwise it comes when all else is at rest */
	SimMail    *late;			/* delayed mail to the patient */
	size_t		late_count;
} Bench;

/* The time of both sides, milliseconds; tests set it. */
extern int64_t bench_now;
extern int64_t bench_clock(void);

/* A new home with the policy "accept" or "ask", paired. */
extern void bench_open(Bench *bench, bool accept);
extern void bench_close(Bench *bench);

/* The process dies and starts again: nothing but the files is left. */
extern void bench_restart(Bench *bench);

/* Carries messages, answers lookups and runs timers until nothing moves. */
extern void bench_run(Bench *bench);

/* Lets time pass, then bench_run(). seconds */
extern void bench_wait(Bench *bench, int64_t seconds);

/* Gives one envelope to the patient, through both transactions. */
extern void bench_arrive(Bench *bench, const char *envelope);

/* The status of the only, or newest, version of a record on the device. */
extern VersionStatus bench_status(Bench *bench, const char *vk);

/* Issues and gives the index. */
extern size_t bench_issue(Bench *bench, const char *content, size_t before_plus_one);

extern int	bench_outbox(Bench *bench);

#define CONTENT "{\"resourceType\":\"Observation\",\"code\":{\"text\":\"Blood pressure\"},\"effectiveDateTime\":\"2024-03-05T10:00:00Z\",\"valueQuantity\":{\"value\":7.10}}"

#endif
