/*
 * evidence_rows.c
 *		Writes tests/data/evidence.sql: rows of a node with signed records, as its worker would have left them.
 *
 * Regress tests have no worker and no server, so that hdms.verify() and hdms.export_evidence() are given
 * rows made here, with real keys and signatures. The rows are kept in the repository, so that what was
 * signed once has to verify for ever; they are made anew only when a format changes:
 *
 *	make -C tests/extension/rows
 */
#include <stdio.h>

#include "fixture.h"

/* A text as an SQL literal, dollar-quoted: none of the formats has a '$'. */
static void
put(const char *text, const char *after)
{
	if (text == NULL)
		printf("NULL%s", after);
	else
		printf("$t$%s$t$%s", text, after);
}

static void
put_digest(const char *content)
{
	HdmsBytes	compact = {0};
	unsigned char digest[HDMS_DIGEST_SIZE];

	FIXTURE_OK(hdms_json_compact(content, strlen(content), &compact));
	FIXTURE_OK(hdms_sha256(compact.data, compact.len, digest));
	printf("'\\x");
	for (int i = 0; i < HDMS_DIGEST_SIZE; i++)
		printf("%02x", digest[i]);
	printf("'");
	hdms_bytes_free(&compact);
}

static void
put_node(const Fixture *fixture)
{
	char	   *network = NULL;

	FIXTURE_OK(hdms_key_to_jwk(fixture->network, false, &network));
	printf("INSERT INTO hdms_internal.node (server_url, network, display_name, wants_notary, status, node_id, history, admission, network_key)\n"
		   "\tVALUES ('https://hdms.example.org', '%s', 'North', true, 'active', '%s', ",
		   hdms_key_thumbprint(fixture->network), fixture->institution[0].id);
	put(hdms_history_json(fixture->institution[0].history), ", ");
	put(fixture->admission[0], ", ");
	put(network, ");\n");
	free(network);
	printf("INSERT INTO hdms_internal.notary_lists (digest, jws, iat, max_age) VALUES ('%s', ", fixture->list.digest);
	put(fixture->list.jws, ", ");
	printf("%lld, %lld);\n", (long long) fixture->list.iat, (long long) fixture->list.max_age);
	printf("INSERT INTO hdms_internal.peers (node_id, kind, name, history) VALUES ('%s', 'person', '', ", fixture->patient.id);
	put(hdms_history_json(fixture->patient.history), ");\n");
	printf("INSERT INTO hdms_internal.patients (patient_ref, node_id, status) VALUES ('evidence', '%s', 'paired');\n",
		   fixture->patient.id);
}

static const char *const reason_of_rejection = "This was measured on somebody else.";

/* One version and its bytes. leaf_at: seconds, 0 for none. */
static void
put_version(const FixtureVersion *version, int ordinal, const char *status, const char *content, int64_t issued_at,
			int64_t leaf_at, const char *rejection)
{
	printf("WITH v AS (INSERT INTO hdms_internal.versions (record, ordinal, content_digest, status, accept_within, version, vk, prev,"
		   " notary, issued_at, leaf_at, ended_at, accept_until, reason)\n\tVALUES ('%s', %d, ", version->state.record, ordinal);
	put_digest(content);
	printf(", '%s', '30 days', %lld, '%s', ", status, (long long) version->state.version, version->state.vk);
	put(version->state.prev[0] == '\0' ? NULL : version->state.prev, ", ");
	put(leaf_at == 0 ? NULL : version->notary, ", ");
	printf("to_timestamp(%lld), ", (long long) issued_at);
	if (leaf_at == 0)
		printf("NULL, ");
	else
		printf("to_timestamp(%lld), ", (long long) leaf_at);
	printf("to_timestamp(%lld), to_timestamp(%lld), ", (long long) issued_at + 180, (long long) issued_at + 30 * FIXTURE_DAY);
	put(rejection == NULL ? NULL : reason_of_rejection, ") RETURNING id)\n");
	printf("\tINSERT INTO hdms_internal.payloads (id, content, state, commit, acceptance, request, receipt, rejection) SELECT id, ");
	put(content, ", ");
	put(version->sd_jwt, ", ");
	put(leaf_at == 0 ? version->commit : NULL, ", ");
	put(version->acceptance, ", ");
	put(version->request, ", ");
	put(version->receipt, ", ");
	put(rejection, " FROM v;\n");
}

static void
put_record(const FixtureVersion *version, const char *source_id, int committed)
{
	printf("INSERT INTO hdms_internal.records (record, patient_ref, source_id, type, committed) VALUES ('%s', 'evidence', '%s', '%s', %d);\n",
		   version->state.record, source_id, version->state.type, committed);
}

/* Two committed versions; between them one that was rejected; after them one on its way. */
static void
put_committed_record(Fixture *fixture)
{
	static const char *const content[] = {
		"{\"resourceType\": \"Observation\", \"value\": 7.10, \"note\": \"first\"}",
		"{\"resourceType\": \"Observation\", \"value\": 7.2, \"note\": \"refused\"}",
		"{\"resourceType\": \"Observation\", \"value\": 7.20, \"note\": \"second\"}",
		"{\"resourceType\": \"Observation\", \"value\": 8, \"note\": \"third\"}",
	};
	FixtureVersion version[4];
	int64_t		issued[4];
	HdmsRejection rejection = {0};
	char	   *rejected = NULL;

	memset(version, 0, sizeof(version));
	issued[0] = fixture->now;
	fixture_version(fixture, NULL, content[0], &version[0]);
	issued[1] = fixture->now;
	fixture_issue(fixture, &version[0], content[1], &version[1]);
	strcpy(rejection.iss, fixture->patient.id);
	strcpy(rejection.aud, fixture->institution[0].id);
	strcpy(rejection.vk, version[1].state.vk);
	strcpy(rejection.reason, reason_of_rejection);
	rejection.iat = fixture->now;
	FIXTURE_OK(hdms_rejection_sign(&rejection, fixture->patient.key[HDMS_ROLE_SIGN], &rejected));
	fixture->now += FIXTURE_DAY;
	issued[2] = fixture->now;
	fixture_version(fixture, &version[0], content[2], &version[2]);
	fixture->now += FIXTURE_DAY;
	issued[3] = fixture->now;
	fixture_issue(fixture, &version[2], content[3], &version[3]);

	put_record(&version[0], "evidence/committed", 2);
	put_version(&version[0], 1, "superseded", content[0], issued[0], issued[0] + 120, NULL);
	put_version(&version[1], 2, "rejected", content[1], issued[1], 0, rejected);
	put_version(&version[2], 3, "committed", content[2], issued[2], issued[2] + 120, NULL);
	put_version(&version[3], 4, "delivered", content[3], issued[3], 0, NULL);
	free(rejected);
	for (int i = 0; i < 4; i++)
		fixture_version_free(&version[i]);
}

/* Another first version of the record that a version belongs to. */
static void
make_rival(Fixture *fixture, const FixtureVersion *first, const char *content, FixtureVersion *rival)
{
	const HdmsKey *issuer = fixture->institution[0].key[HDMS_ROLE_SIGN];
	HdmsCommit	commit = {0};

	memset(rival, 0, sizeof(*rival));
	rival->state = first->state;
	rival->state.iat = fixture->now;
	FIXTURE_OK(hdms_state_build(&rival->state, content, strlen(content), issuer, &rival->sd_jwt));
	FIXTURE_OK(hdms_commit_for(&rival->state, &commit));
	commit.iat = fixture->now;
	commit.accept_until = fixture->now + 30 * FIXTURE_DAY;
	strcpy(commit.notaries, fixture->list.digest);
	strcpy(commit.vrf, hdms_key_thumbprint(fixture->patient.key[HDMS_ROLE_VRF]));
	FIXTURE_OK(hdms_commit_sign(&commit, issuer, &rival->commit));
	fixture->now += 60;
	fixture_accept(fixture, NULL, rival);
	fixture->now += 60;
	fixture_notarise(fixture, NULL, rival);
	fixture->now += 60;
}

/* A first version that had expired, its successor, and then the first one's evidence after all. */
static void
put_overtaken_record(Fixture *fixture)
{
	static const char *const content[] = {"{\"n\": 1}", "{\"n\": 2}"};
	FixtureVersion late = {0};
	FixtureVersion current = {0};
	int64_t		issued[2];

	issued[0] = fixture->now;
	fixture_version(fixture, NULL, content[0], &late);
	fixture->now += FIXTURE_DAY;
	issued[1] = fixture->now;
	make_rival(fixture, &late, content[1], &current);

	put_record(&current, "evidence/overtaken", 1);
	put_version(&late, 1, "superseded", content[0], issued[0], issued[0] + 120, NULL);
	printf("UPDATE hdms_internal.versions SET reason = 'late' WHERE vk = '%s';\n", late.state.vk);
	put_version(&current, 2, "committed", content[1], issued[1], issued[1] + 120, NULL);
	fixture_version_free(&late);
	fixture_version_free(&current);
}

int
main(void)
{
	static const char *const other = "{\"n\": 1}";
	Fixture		fixture;
	FixtureVersion version = {0};
	int64_t		issued;

	fixture_open(&fixture, HDMS_KEY_P256, HDMS_KEY_P256);
	printf("-- Written by tests/extension/rows/evidence_rows.c: a node with signed records.\n");
	put_node(&fixture);
	put_committed_record(&fixture);
	put_overtaken_record(&fixture);
	issued = fixture.now;
	fixture_version(&fixture, NULL, other, &version);
	put_record(&version, "evidence/other", 1);
	put_version(&version, 1, "committed", other, issued, issued + 120, NULL);
	fixture_version_free(&version);
	fixture_close(&fixture);
	return 0;
}
