/*
 * flow_reads.h
 *		Tells patients when their records were read.
 */
#ifndef HDMS_EXT_FLOW_READS_H
#define HDMS_EXT_FLOW_READS_H

/* A duty of flow_timers(): tells of the next rows of the audit trail. Returns the seconds until it wants to look again. */
extern int	flow_tell_reads(void);

#endif
