/*
 * test_forgery.c
 *		An institution or a notary that is who it says, and says what is not so.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench.h"

static Bench bench;

static SimVersion *
issued(size_t index)
{
	return &bench.sim.versions[index];
}

/* Forgets what was queued, so that a test can send something else. */
static void
mail_forget(void)
{
	SimMail		mail;

	while (sim_take(&bench.sim, &mail))
		free(mail.envelope);
}

/* A well-signed record message with any state and commit; the code that it is refused with. */
static const char *
refusal_of(size_t index, const char *state, const char *commit)
{
	HdmsBody	body = {.state = (char *) state, .commit = (char *) commit};
	size_t		count;

	mail_forget();
	issued(index)->status = SIM_ISSUED;
	issued(index)->jti[0] = '\0';
	sim_send(&bench.sim, &bench.sim.institution, bench.pairing->node, HDMS_MSG_RECORD, "", &body, issued(index)->jti);
	bench_run(&bench);
	(void) catalogue_entries(bench.home, &count);
	assert_int_equal(count, 0);
	return issued(index)->status == SIM_REFUSED ? issued(index)->code : "";
}

/* Another commit for the version, with one thing changed. */
static char *
commit_with(size_t index, int64_t accept_until, const char *notaries, const char *vrf)
{
	HdmsCommit	commit;
	char	   *jws;

	MUST(hdms_commit_peek(issued(index)->commit, strlen(issued(index)->commit), &commit));
	if (accept_until)
		commit.accept_until = accept_until;
	if (notaries)
		strcpy(commit.notaries, notaries);
	if (vrf)
		strcpy(commit.vrf, vrf);
	MUST(hdms_commit_sign(&commit, bench.sim.institution.key[HDMS_ROLE_SIGN], &jws));
	return jws;
}

static void
a_record_that_is_not_what_it_should_be_is_refused_with_the_reason(void **unused)
{
	size_t		index;
	size_t		other;
	char	   *text;
	char	   *commit;
	char	   *tilde;

	(void) unused;
	bench_open(&bench, true);
	index = bench_issue(&bench, CONTENT, 0);
	other = bench_issue(&bench, "{\"b\":1}", 0);

	/* The commit of another state. */
	assert_string_equal(refusal_of(index, issued(index)->text, issued(other)->commit), "digest-mismatch");

	/* A disclosure that was altered, one that is missing. */
	text = strdup(issued(index)->text);
	tilde = strchr(text, '~');
	tilde[5] = tilde[5] == 'A' ? 'B' : 'A';
	assert_string_not_equal(refusal_of(index, text, issued(index)->commit), "");
	tilde[1] = '\0';
	assert_string_not_equal(refusal_of(index, text, issued(index)->commit), "");
	free(text);

	/* The issuer's signature altered. */
	text = strdup(issued(index)->text);
	tilde = strchr(text, '~');
	tilde[-5] = tilde[-5] == 'A' ? 'B' : 'A';
	assert_string_not_equal(refusal_of(index, text, issued(index)->commit), "");
	free(text);

	/* Somebody else's VRF key, which would let the institution know the draw. */
	commit = commit_with(index, 0, NULL, hdms_key_thumbprint(bench.sim.institution.key[HDMS_ROLE_SIGN]));
	assert_string_equal(refusal_of(index, issued(index)->text, commit), "bad-key");
	free(commit);

	/* Too late already. */
	commit = commit_with(index, bench_now / 1000 - 1, NULL, NULL);
	assert_string_equal(refusal_of(index, issued(index)->text, commit), "too-late");
	free(commit);
	assert_string_equal(refusal_of(index, "no state", issued(index)->commit), "bad-format");
	bench_close(&bench);
}

static void
a_record_for_another_patient_is_refused(void **unused)
{
	Bench		second;
	size_t		index;
	HdmsBody	body;
	size_t		count;

	(void) unused;
	bench_open(&bench, true);
	bench_open(&second, true);

	/* The other patient is known to this institution as well. */
	sim_learn(&bench.sim, second.pairing->history);
	index = sim_issue(&bench.sim, second.pairing->node, CONTENT, NULL);
	mail_forget();
	body = (HdmsBody)
	{
		.state = issued(index)->text, .commit = issued(index)->commit
	};
	issued(index)->jti[0] = '\0';
	sim_send(&bench.sim, &bench.sim.institution, bench.pairing->node, HDMS_MSG_RECORD, "", &body, issued(index)->jti);
	bench_run(&bench);
	assert_int_equal(issued(index)->status, SIM_REFUSED);
	assert_string_equal(issued(index)->code, "wrong-receiver");
	(void) catalogue_entries(bench.home, &count);
	assert_int_equal(count, 0);
	bench_close(&second);
	bench_close(&bench);
}

static void
an_inner_signature_that_was_altered_is_refused(void **unused)
{
	SimMail		mail;
	HdmsBytes	plaintext = {0};
	char	   *envelope;
	char	   *end;
	size_t		count;

	(void) unused;
	bench_open(&bench, true);
	bench_issue(&bench, CONTENT, 0);
	assert_true(sim_take(&bench.sim, &mail));

	/* Sealed anew by somebody who could read it: the key id is right, the signature is not. */
	MUST(hdms_jwe_open(mail.envelope, strlen(mail.envelope), bench.pairing->encrypt, HDMS_TYP_ENVELOPE, &plaintext));
	end = strchr((char *) plaintext.data, '\n');
	end[-10] = end[-10] == 'A' ? 'B' : 'A';
	MUST(hdms_jwe_seal(bench.pairing->encrypt, HDMS_TYP_ENVELOPE, plaintext.data, plaintext.len, &envelope));
	bench_arrive(&bench, envelope);
	assert_int_equal(bench.home->refused_messages, 1);
	(void) catalogue_entries(bench.home, &count);
	assert_int_equal(count, 0);
	hdms_bytes_free(&plaintext);
	free(envelope);
	free(mail.envelope);
	bench_close(&bench);
}

/* Whatever the notary sent, the version waits on and the notary's word was refused. */
static void
assert_receipt_refused(size_t index)
{
	bench_run(&bench);
	assert_int_equal(bench_status(&bench, issued(index)->state.vk), VERSION_NOTARISING);
	assert_int_equal(bench.home->refused_messages, 1);
	assert_int_equal(bench.sim.verified_accepted, 0);
}

static void
a_receipt_for_another_request_is_refused(void **unused)
{
	size_t		index;

	(void) unused;
	bench_open(&bench, true);
	bench.sim.wrong_leaf = true;
	index = bench_issue(&bench, CONTENT, 0);
	assert_receipt_refused(index);
	bench_close(&bench);
}

static void
a_receipt_that_is_dated_after_the_end_of_acceptance_is_refused(void **unused)
{
	size_t		index;

	(void) unused;
	bench_open(&bench, true);
	bench.sim.leaf_shift = bench.sim.accept_within * 1000 + 5000;
	index = bench_issue(&bench, CONTENT, 0);
	assert_receipt_refused(index);
	bench_close(&bench);
}

static void
a_receipt_by_the_wrong_notary_is_refused(void **unused)
{
	size_t		index;
	HdmsKey    *swapped;

	(void) unused;
	bench_open(&bench, true);

	/* Each notary signs with the other's log key. */
	swapped = bench.sim.notary[0].key[HDMS_ROLE_LOG];
	bench.sim.notary[0].key[HDMS_ROLE_LOG] = bench.sim.notary[1].key[HDMS_ROLE_LOG];
	bench.sim.notary[1].key[HDMS_ROLE_LOG] = swapped;
	index = bench_issue(&bench, CONTENT, 0);
	assert_receipt_refused(index);
	bench_close(&bench);
}

static void
a_confirmation_without_evidence_changes_nothing(void **unused)
{
	size_t		index;
	HdmsBody	body = {0};
	char		jti[37] = "";

	(void) unused;
	bench_open(&bench, false);
	index = bench_issue(&bench, CONTENT, 0);
	bench_run(&bench);
	body.vk = issued(index)->state.vk;
	sim_send(&bench.sim, &bench.sim.institution, bench.pairing->node, HDMS_MSG_COMMITTED, "", &body, jti);
	bench_run(&bench);
	assert_int_equal(bench_status(&bench, issued(index)->state.vk), VERSION_ASKED);
	bench_close(&bench);
}

static void
a_skip_of_another_notary_or_another_version_changes_nothing(void **unused)
{
	size_t		index;
	Version		before;
	Version		after;
	HdmsSkip	skip = {0};
	HdmsBody	body = {0};
	char		jti[37] = "";
	bool		found;

	(void) unused;
	bench_open(&bench, true);
	bench.sim.notary[0].mute = bench.sim.notary[1].mute = true;
	index = bench_issue(&bench, CONTENT, 0);
	bench_run(&bench);
	assert_true(version_by_vk(bench.home, 0, issued(index)->state.vk, &before, &found));
	strcpy(skip.iss, bench.sim.institution.id);
	strcpy(skip.sub, bench.pairing->node);
	strcpy(skip.vk, before.vk);
	skip.iat = bench_now / 1000;
	body.vk = before.vk;

	/* The one that was not drawn; then the right one, but in a skip for another version. */
	for (int i = 0; i < 2; i++)
	{
		bool		first_was_drawn = strcmp(before.notary, bench.sim.notary[0].id) == 0;

		strcpy(skip.notary, i == 0 ? bench.sim.notary[first_was_drawn].id : before.notary);
		if (i == 1)
			strcpy(skip.vk, bench.sim.institution.id);
		MUST(hdms_skip_sign(&skip, bench.sim.institution.key[HDMS_ROLE_SIGN], &body.skip));
		jti[0] = '\0';
		sim_send(&bench.sim, &bench.sim.institution, bench.pairing->node, HDMS_MSG_SKIP, "", &body, jti);
		bench_run(&bench);
		free(body.skip);
		assert_true(version_by_vk(bench.home, 0, issued(index)->state.vk, &after, &found));
		assert_string_equal(after.notary, before.notary);
		assert_int_equal(after.status, VERSION_NOTARISING);
	}
	bench_close(&bench);
}

static void
a_conflict_without_proof_is_not_believed(void **unused)
{
	size_t		index;

	(void) unused;
	bench_open(&bench, true);
	bench.sim.notary_refuses = true;
	strcpy(bench.sim.refuse_code, "conflict");
	index = bench_issue(&bench, CONTENT, 0);
	bench_run(&bench);
	assert_int_equal(bench_status(&bench, issued(index)->state.vk), VERSION_ACCEPTED);
	bench_wait(&bench, 400);
	assert_int_equal(bench_status(&bench, issued(index)->state.vk), VERSION_FINAL);
	bench_close(&bench);
}

static void
a_conflict_with_a_rivals_receipt_ends_the_flow(void **unused)
{
	size_t		index;
	Version		version;
	bool		found;

	(void) unused;
	bench_open(&bench, true);

	/* The log gets another request under the tag; when the right one is put again the notary has a rival to show. */
	bench.sim.wrong_leaf = true;
	bench.sim.skip_silent = false;
	index = bench_issue(&bench, CONTENT, 0);
	bench_run(&bench);
	bench_wait(&bench, 1000);
	assert_true(version_by_vk(bench.home, 0, issued(index)->state.vk, &version, &found));
	assert_int_equal(version.status, VERSION_FAILED);
	assert_string_equal(version.last_error, "conflict");
	bench_close(&bench);
}

static void
a_conflict_with_ones_own_receipt_is_a_receipt(void **unused)
{
	size_t		index;

	(void) unused;
	bench_open(&bench, true);
	bench.sim.notary_refuses = true;
	bench.sim.refuse_own = true;
	strcpy(bench.sim.refuse_code, "conflict");
	index = bench_issue(&bench, CONTENT, 0);
	bench_run(&bench);
	assert_int_equal(bench_status(&bench, issued(index)->state.vk), VERSION_FINAL);
	bench_close(&bench);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_record_that_is_not_what_it_should_be_is_refused_with_the_reason),
		cmocka_unit_test(a_record_for_another_patient_is_refused),
		cmocka_unit_test(an_inner_signature_that_was_altered_is_refused),
		cmocka_unit_test(a_receipt_for_another_request_is_refused),
		cmocka_unit_test(a_receipt_that_is_dated_after_the_end_of_acceptance_is_refused),
		cmocka_unit_test(a_receipt_by_the_wrong_notary_is_refused),
		cmocka_unit_test(a_confirmation_without_evidence_changes_nothing),
		cmocka_unit_test(a_skip_of_another_notary_or_another_version_changes_nothing),
		cmocka_unit_test(a_conflict_without_proof_is_not_believed),
		cmocka_unit_test(a_conflict_with_a_rivals_receipt_ends_the_flow),
		cmocka_unit_test(a_conflict_with_ones_own_receipt_is_a_receipt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
