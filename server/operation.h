/*
 * operation.h
 *		What an HTTP thread asks of the database: one Operation for each question, answered by a database thread.
 *
 * The caller fills in kind and input, keeps everything that it points to alive, and submits. The database thread runs
 * it together with others in one transaction, fills in outcome, epoch and output, and calls complete() after the
 * commit. Output is owned by whoever submitted.
 */
#ifndef HDMS_SERVER_OPERATION_H
#define HDMS_SERVER_OPERATION_H

#include "admission.h"
#include "log_tree.h"
#include "wire.h"

#define EPOCH_SIZE		64		/* with the final NUL, as in wire.h */

typedef enum OperationKind
{
	OPERATION_PING,				/* nothing but the nonce, and whether the database answers */
	OPERATION_LOAD_NODE,
	OPERATION_LOAD_LIST,		/* a list of notaries */
	OPERATION_LOAD_ENTRY,		/* of the directory, with its proof from the log */
	OPERATION_LOAD_CHECKPOINT,	/* of a log */
	OPERATION_LOAD_TILE,
	OPERATION_LOAD_EDGE,		/* the last tile of each level */
	OPERATION_WRITE_TILE,
	OPERATION_WRITE_CHECKPOINT,
	OPERATION_REGISTER,
	OPERATION_PUT,
	OPERATION_MAILBOX			/* acknowledge, fetch, or both */
} OperationKind;

typedef enum OperationOutcome
{
	OUTCOME_DONE,
	OUTCOME_REPLAYED,			/* the nonce was seen before; nothing was done */
	OUTCOME_NOT_READY,			/* no usable database */
	OUTCOME_BUSY,				/* too much queued, or the database is too slow */
	OUTCOME_FAILED				/* an unexpected error, which was logged */
} OperationOutcome;

typedef enum NodeStatus
{
	NODE_PENDING, NODE_ACTIVE, NODE_FROZEN
} NodeStatus;

/* A row of the directory. Strings are malloc'ed; admission may be NULL. */
typedef struct NodeRow
{
	char		id[HDMS_DIGEST_TEXT + 1];
	HdmsNodeKind kind;
	NodeStatus	status;
	char	   *history;
	char	   *admission;			/* a person's: the membership */
} NodeRow;

/* The directory's entry of a node. Strings are malloc'ed and may be NULL. */
typedef struct NodeEntry
{
	bool		exists;
	NodeStatus	status;
	char	   *history;
	char	   *admission;
	char	   *checkpoint;		/* NULL: the newest entry is not in the log yet */
	int64_t		size;
	int64_t		index;			/* of the newest entry */
	HdmsHash	proof[HDMS_MERKLE_MAX_PROOF];
	int			proof_count;	/* -1: none */
} NodeEntry;

typedef enum LogWritten
{
	LOG_STORED = 1, LOG_SAME, LOG_CONFLICT
} LogWritten;

typedef enum VoucherState
{
	VOUCHER_ABSENT, VOUCHER_VALID, VOUCHER_INVALID, VOUCHER_EXPIRED
} VoucherState;

typedef enum RegisterResult
{
	REGISTER_NEW, REGISTER_KNOWN, REGISTER_PENDING, REGISTER_NOT_ADMITTED, REGISTER_EXPIRED, REGISTER_FORK
} RegisterResult;

/* A list of notaries that came with a registration and whose signature was verified. */
typedef struct CarriedList
{
	char		digest[HDMS_DIGEST_TEXT + 1];
	const char *jws;
	int64_t		iat;
} CarriedList;

/* Everything in it was verified, except what only the directory knows. */
typedef struct NodeRegistration
{
	const HdmsHistory *history;
	VoucherState voucher_state;
	HdmsVoucher voucher;
	const char *admission;		/* verified, or NULL; a person's is the membership */
	bool		notary;
	int64_t		admitted;		/* when the admission was signed */
	const HdmsKey *network;		/* its key; set with the admission */
	const CarriedList *lists;
	size_t		lists_count;

	RegisterResult result;
	NodeStatus	status;			/* after it */
	bool		lists_changed;	/* the list of notaries should be looked at */
	bool		froze;			/* it was this registration that froze the node */
} NodeRegistration;

typedef struct Operation Operation;

struct Operation
{
	OperationKind kind;
	OperationOutcome outcome;
	Operation  *next;
	void		(*complete) (Operation *operation);
	const char *signer;			/* node id of the nonce; set when nonce is */
	const char *nonce;			/* NULL: none */
	char		epoch[EPOCH_SIZE];	/* as the transaction saw it; "" when it did not come to that */

	union
	{
		struct
		{
			const char *id;
			NodeRow    *row;	/* NULL: no such node */
		}			node;
		struct
		{
			const char *digest; /* NULL: the newest */
			char	   *jws;	/* NULL: no such list */
			int64_t		iat;
		}			list;
		NodeRegistration *registration;
		struct
		{
			const char *id;
			NodeEntry  *found;
		}			entry;
		struct
		{
			const char *name;
			int			level;
			uint64_t	index;
			char	   *data;	/* a note or a tile; NULL: there is none */
			size_t		len;
			int64_t		size;	/* leaves of the checkpoint, or width of the tile */
		}			log;
		struct
		{
			const char *name;
			int64_t		size;
			LogTiles   *tiles;	/* the data of each is malloc'ed */
		}			log_edge;
		struct
		{
			const char *name;
			int			level;
			uint64_t	index;
			int			width;
			int64_t		size;	/* of a checkpoint */
			const char *data;
			size_t		len;
			LogWritten	result;
		}			log_write;
		struct
		{
			const HdmsParcel *parcels;
			HdmsPutResult *results; /* as many; those with a status already are left alone */
			size_t		count;
			size_t		bytes;	/* of all parcels */
		}			put;
		struct
		{
			const char *node;
			char	  **ids;	/* to acknowledge */
			size_t		ids_count;
			int			limit;	/* 0: do not fetch */
			const int64_t *sent;	/* sequence numbers not to fetch again: an event stream's */
			size_t		sent_count;

			HdmsParcel *parcels;
			int64_t    *seqs;	/* of the parcels, where sent is used */
			size_t		count;
			bool		more;
			int64_t    *held;	/* those of sent that are still in the mailbox */
			size_t		held_count;
			bool		streaming;	/* whether seqs and held are wanted */
		}			mailbox;
	};
};

extern void node_row_free(NodeRow *row);
extern void node_entry_free(NodeEntry *entry);

#endif
