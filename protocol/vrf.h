/*
 * vrf.h
 *		ECVRF-P256-SHA256-TAI (RFC 9381).
 */
#ifndef HDMS_VRF_H
#define HDMS_VRF_H

#include "key.h"

#define HDMS_VRF_PROOF_SIZE		81	/* 33 + 16 + 32 bytes */
#define HDMS_VRF_OUTPUT_SIZE	32

/* key: private P-256. RFC 9381, 5.1 and 5.2. */
extern HdmsStatus hdms_vrf_prove(const HdmsKey *key, const void *alpha, size_t len,
								 unsigned char proof[HDMS_VRF_PROOF_SIZE], unsigned char output[HDMS_VRF_OUTPUT_SIZE]);

/* RFC 9381, 5.3, with key validation. HDMS_BAD_PROOF when it does not verify. */
extern HdmsStatus hdms_vrf_verify(const HdmsKey *key, const void *alpha, size_t len,
								  const unsigned char proof[HDMS_VRF_PROOF_SIZE], unsigned char output[HDMS_VRF_OUTPUT_SIZE]);

#endif
