/*
 * engine.h
 *		The event loop from the inside.
 */
#ifndef NODE_ENGINE_H
#define NODE_ENGINE_H

#include "home.h"
#include "http.h"
#include "pairing_row.h"

/* Something was written for this pairing, or it was changed: look at it in the next step. */
extern void engine_wake(HdmsEngine *engine, Pairing *pairing);

/* The transport that all homes of the engine share. */
extern Http *engine_http(HdmsEngine *engine);

/* Milliseconds of a clock that never jumps: for the engine's own timers. */
extern int64_t engine_clock(void);

/* A descriptor that the engine waits for besides curl's: the control socket. events as for epoll. */
typedef void (*EngineReady) (void *arg, uint32_t events);
typedef struct EngineWatch
{
	int			descriptor;
	EngineReady ready;
	void	   *arg;
} EngineWatch;

extern bool engine_watch(HdmsEngine *engine, EngineWatch *watch, uint32_t events);
extern void engine_unwatch(HdmsEngine *engine, EngineWatch *watch);

/* Whether a put or a registration is under way or due now: what a command that ends soon should wait for. */
extern bool engine_is_busy(HdmsEngine *engine);

/* A put was answered: its results are recorded in the next round. */
extern void engine_put_answered(HdmsEngine *engine, Courier *courier);

/* A mailbox answer's envelopes: stored, acted upon and acknowledged in the next round. Takes the memory of data. */
extern bool engine_receive(HdmsEngine *engine, Pairing *pairing, const char *transport, char *data, size_t len);

#endif
