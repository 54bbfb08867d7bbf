/*
 * sim_inside.h
 *		What the parts of the simulated network share.
 */
#ifndef SIM_INSIDE_H
#define SIM_INSIDE_H

#include "sim.h"

extern void *sim_grow(void *array, size_t count, size_t size);
extern SimPatient *sim_patient(const Sim *sim, const char *node);
extern void sim_institution_act(Sim *sim, const HdmsMessageHead *head, const HdmsBody *body);
extern void sim_notary_act(Sim *sim, int notary, const HdmsMessageHead *head, const HdmsBody *body);
extern void sim_log_free(SimLog *log);

#endif
