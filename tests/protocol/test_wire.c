/*
 * test_wire.c
 *		The HTTP bodies: what one side prints the other reads, and what is malformed is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire.h"

#define ID_A "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0"
#define ID_B "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U"

/* The outcome of parsing a body of put-many, which is dropped again. */
static HdmsStatus
put_outcome(const char *json)
{
	HdmsParcel *parcels = NULL;
	size_t		count = 7;
	HdmsStatus	status = hdms_wire_put_parse(json, strlen(json), &parcels, &count);

	if (status != HDMS_OK)
	{
		assert_null(parcels);
		assert_int_equal(count, 7);
		return status;
	}
	hdms_parcels_free(parcels, count);
	return status;
}

static HdmsStatus
mailbox_outcome(const char *json)
{
	HdmsParcel *parcels = NULL;
	size_t		count = 0;
	char		epoch[64] = "";
	bool		more = false;
	HdmsStatus	status = hdms_wire_mailbox_parse(json, strlen(json), epoch, &parcels, &count, &more);

	hdms_parcels_free(parcels, count);
	return status;
}

static HdmsStatus
ack_outcome(const char *json)
{
	char	  **ids = NULL;
	size_t		count = 0;
	int			wait;
	int			limit;
	HdmsStatus	status = hdms_wire_ack_parse(json, strlen(json), &ids, &count, &wait, &limit);

	for (size_t i = 0; i < count; i++)
		free(ids[i]);
	free(ids);
	return status;
}

static HdmsStatus
registration_outcome(const char *json)
{
	HdmsRegistration registration = {0};
	HdmsStatus	status = hdms_wire_registration_parse(json, strlen(json), &registration);

	if (status != HDMS_OK)
		assert_null(registration.history);
	hdms_wire_registration_free(&registration);
	return status;
}

static void
envelopes_that_are_put_arrive(void **state)
{
	const HdmsParcel sent[] = {
		{.to = ID_A, .id = ID_B, .ttl = 60, .data = (char *) "a.b.c.d.e", .len = 9},
		{.to = ID_B, .id = ID_A, .ttl = 0, .data = (char *) "-_AZaz09.", .len = 9},
	};
	HdmsParcel *got = NULL;
	size_t		count = 0;
	char	   *json = NULL;

	(void) state;
	assert_int_equal(hdms_wire_put_print(sent, 2, &json), HDMS_OK);
	assert_string_equal(json, "{\"envelopes\":[{\"to\":\"" ID_A "\",\"id\":\"" ID_B "\",\"ttl\":60,\"data\":\"a.b.c.d.e\"},"
						"{\"to\":\"" ID_B "\",\"id\":\"" ID_A "\",\"data\":\"-_AZaz09.\"}]}");
	assert_int_equal(hdms_wire_put_parse(json, strlen(json), &got, &count), HDMS_OK);
	assert_int_equal(count, 2);
	for (int i = 0; i < 2; i++)
	{
		assert_string_equal(got[i].to, sent[i].to);
		assert_string_equal(got[i].id, sent[i].id);
		assert_int_equal(got[i].ttl, sent[i].ttl);
		assert_int_equal(got[i].len, sent[i].len);
		assert_string_equal(got[i].data, sent[i].data);
	}
	hdms_parcels_free(got, count);
	free(json);
}

static void
nothing_to_put_is_an_empty_list(void **state)
{
	HdmsParcel *got = NULL;
	size_t		count = 1;
	char	   *json = NULL;

	(void) state;
	assert_int_equal(hdms_wire_put_print(NULL, 0, &json), HDMS_OK);
	assert_string_equal(json, "{\"envelopes\":[]}");
	assert_int_equal(hdms_wire_put_parse(json, strlen(json), &got, &count), HDMS_OK);
	assert_int_equal(count, 0);
	assert_null(got);
	free(json);
	hdms_parcels_free(NULL, 0);
}

static void
malformed_envelopes_are_refused_as_a_whole(void **state)
{
	static const char *const bad[] = {
		"{}", "{\"envelopes\":{}}", "{\"envelopes\":[1]}", "{\"envelopes\":[{}]}",
		"{\"envelopes\":[{\"to\":\"x\",\"id\":\"" ID_A "\",\"data\":\"a\"}]}",
		"{\"envelopes\":[{\"to\":\"" ID_A "\",\"id\":\"" ID_A "=\",\"data\":\"a\"}]}",
		"{\"envelopes\":[{\"to\":\"" ID_A "\",\"id\":\"" ID_A "\",\"data\":\"\"}]}",
		"{\"envelopes\":[{\"to\":\"" ID_A "\",\"id\":\"" ID_A "\",\"data\":\"a b\"}]}",
		"{\"envelopes\":[{\"to\":\"" ID_A "\",\"id\":\"" ID_A "\",\"data\":\"a\\n\"}]}",
		"{\"envelopes\":[{\"to\":\"" ID_A "\",\"id\":\"" ID_A "\",\"data\":7}]}",
		"{\"envelopes\":[{\"to\":\"" ID_A "\",\"id\":\"" ID_A "\",\"data\":\"a\",\"ttl\":-1}]}",
		"{\"envelopes\":[{\"to\":\"" ID_A "\",\"id\":\"" ID_A "\",\"data\":\"a\",\"ttl\":\"1\"}]}",
		"{\"envelopes\":[{\"to\":\"" ID_A "\",\"id\":\"" ID_A "\",\"data\":\"a\"},{\"id\":\"" ID_A "\",\"data\":\"a\"}]}",
	};

	(void) state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(put_outcome(bad[i]), HDMS_BAD_CLAIM);
	assert_int_equal(put_outcome("{\"envelopes\":[],\"envelopes\":[]}"), HDMS_BAD_JSON);
	assert_int_equal(put_outcome("["), HDMS_BAD_JSON);
	assert_int_equal(put_outcome("{\"envelopes\":[{\"to\":\"" ID_A "\",\"id\":\"" ID_A "\",\"data\":\"a\",\"new\":{}}],\"more\":1}"), HDMS_OK);
}

static void
malformed_envelopes_are_not_printed(void **state)
{
	HdmsParcel	parcel = {.to = ID_A, .id = ID_B, .data = (char *) "a", .len = 1};
	char	   *json = NULL;

	(void) state;
	strcpy(parcel.id, "x");
	assert_int_equal(hdms_wire_put_print(&parcel, 1, &json), HDMS_BAD_ARGUMENT);
	strcpy(parcel.id, ID_B);
	parcel.to[0] = '\0';
	assert_int_equal(hdms_wire_put_print(&parcel, 1, &json), HDMS_BAD_ARGUMENT);
	strcpy(parcel.to, ID_A);
	parcel.data = (char *) "\"";
	assert_int_equal(hdms_wire_put_print(&parcel, 1, &json), HDMS_BAD_ARGUMENT);
	parcel.len = 0;
	assert_int_equal(hdms_wire_mailbox_print("e", &parcel, 1, false, &json), HDMS_BAD_ARGUMENT);
	assert_null(json);
}

static void
results_say_the_epoch_and_one_status_each(void **state)
{
	const HdmsPutResult sent[] = {{ID_A, 201}, {ID_B, 507}};
	HdmsPutResult *got = NULL;
	size_t		count = 0;
	char		epoch[64] = "old";
	char	   *json = NULL;

	(void) state;
	assert_int_equal(hdms_wire_results_print("epoch-1", sent, 2, &json), HDMS_OK);
	assert_int_equal(hdms_wire_results_parse(json, strlen(json), epoch, &got, &count), HDMS_OK);
	assert_string_equal(epoch, "epoch-1");
	assert_int_equal(count, 2);
	assert_string_equal(got[1].id, ID_B);
	assert_int_equal(got[1].status, 507);
	free(got);
	free(json);

	got = NULL;
	strcpy(epoch, "old");
	json = (char *) "{\"epoch\":\"e\",\"results\":[{\"id\":\"" ID_A "\",\"status\":7}]}";
	assert_int_equal(hdms_wire_results_parse(json, strlen(json), epoch, &got, &count), HDMS_BAD_CLAIM);
	json = (char *) "{\"epoch\":\"e\",\"results\":[{\"id\":\"" ID_A "\"}]}";
	assert_int_equal(hdms_wire_results_parse(json, strlen(json), epoch, &got, &count), HDMS_BAD_CLAIM);
	json = (char *) "{\"epoch\":\"e\",\"results\":[7]}";
	assert_int_equal(hdms_wire_results_parse(json, strlen(json), epoch, &got, &count), HDMS_BAD_CLAIM);
	json = (char *) "{\"results\":[]}";
	assert_int_equal(hdms_wire_results_parse(json, strlen(json), epoch, &got, &count), HDMS_BAD_CLAIM);
	json = (char *) "{\"epoch\":\"e\",\"results\":[],\"detail\":\"later\"}";
	assert_string_equal(epoch, "old");
	assert_null(got);
	assert_int_equal(hdms_wire_results_parse(json, strlen(json), epoch, &got, &count), HDMS_OK);
	assert_int_equal(count, 0);
}

static void
a_mailbox_arrives_and_says_whether_there_is_more(void **state)
{
	const HdmsParcel sent[] = {{.id = ID_B, .data = (char *) "a.b.c.d.e", .len = 9}};
	HdmsParcel *got = NULL;
	size_t		count = 0;
	char		epoch[64];
	bool		more = false;
	char	   *json = NULL;

	(void) state;
	assert_int_equal(hdms_wire_mailbox_print("e1", sent, 1, true, &json), HDMS_OK);
	assert_string_equal(json, "{\"epoch\":\"e1\",\"envelopes\":[{\"id\":\"" ID_B "\",\"data\":\"a.b.c.d.e\"}],\"more\":true}");
	assert_int_equal(hdms_wire_mailbox_parse(json, strlen(json), epoch, &got, &count, &more), HDMS_OK);
	assert_true(more);
	assert_string_equal(epoch, "e1");
	assert_int_equal(count, 1);
	assert_string_equal(got[0].to, "");
	assert_string_equal(got[0].data, "a.b.c.d.e");
	hdms_parcels_free(got, count);
	free(json);
	assert_int_equal(hdms_wire_mailbox_print("e1", NULL, 0, false, &json), HDMS_OK);
	assert_int_equal(hdms_wire_mailbox_parse(json, strlen(json), epoch, &got, &count, &more), HDMS_OK);
	assert_false(more);
	free(json);
	assert_int_equal(mailbox_outcome("{\"epoch\":\"e\",\"envelopes\":[]}"), HDMS_BAD_CLAIM);
	assert_int_equal(mailbox_outcome("{\"epoch\":\"e\",\"envelopes\":[],\"more\":1}"), HDMS_BAD_CLAIM);
	assert_int_equal(mailbox_outcome("{\"epoch\":\"a b\",\"envelopes\":[],\"more\":true}"), HDMS_BAD_CLAIM);
	assert_int_equal(mailbox_outcome("{\"epoch\":\"0123456789012345678901234567890123456789012345678901234567890123\",\"envelopes\":[],\"more\":true}"), HDMS_BAD_CLAIM);
	assert_int_equal(mailbox_outcome("{\"epoch\":\"e\",\"envelopes\":[null],\"more\":true}"), HDMS_BAD_CLAIM);
}

static void
an_acknowledgement_may_ask_for_more(void **state)
{
	const char *const sent[] = {ID_A, ID_B};
	char	  **ids = NULL;
	size_t		count = 0;
	int			wait = 0;
	int			limit = 0;
	char	   *json = NULL;

	(void) state;
	assert_int_equal(hdms_wire_ack_print(sent, 2, 25, 100, &json), HDMS_OK);
	assert_string_equal(json, "{\"ids\":[\"" ID_A "\",\"" ID_B "\"],\"wait\":25,\"limit\":100}");
	assert_int_equal(hdms_wire_ack_parse(json, strlen(json), &ids, &count, &wait, &limit), HDMS_OK);
	assert_int_equal(count, 2);
	assert_string_equal(ids[1], ID_B);
	assert_int_equal(wait, 25);
	assert_int_equal(limit, 100);
	free(ids[0]);
	free(ids[1]);
	free(ids);
	free(json);
	assert_int_equal(hdms_wire_ack_print(NULL, 0, -1, 0, &json), HDMS_OK);
	assert_string_equal(json, "{\"ids\":[]}");
	assert_int_equal(hdms_wire_ack_parse(json, strlen(json), &ids, &count, &wait, &limit), HDMS_OK);
	assert_int_equal(count, 0);
	assert_null(ids);
	assert_int_equal(wait, -1);
	assert_int_equal(limit, 0);
	free(json);
	assert_int_equal(hdms_wire_ack_print(NULL, 0, 0, 0, &json), HDMS_OK);
	assert_string_equal(json, "{\"ids\":[],\"wait\":0}");
	free(json);
	assert_int_equal(ack_outcome("{}"), HDMS_BAD_CLAIM);
	assert_int_equal(ack_outcome("{\"ids\":[\"x\"]}"), HDMS_BAD_CLAIM);
	assert_int_equal(ack_outcome("{\"ids\":[\"" ID_A "\",1]}"), HDMS_BAD_CLAIM);
	assert_int_equal(ack_outcome("{\"ids\":[],\"wait\":-1}"), HDMS_BAD_CLAIM);
	assert_int_equal(ack_outcome("{\"ids\":[],\"wait\":4294967296}"), HDMS_BAD_CLAIM);
	assert_int_equal(ack_outcome("{\"ids\":[],\"limit\":\"9\"}"), HDMS_BAD_CLAIM);
}

static void
a_registration_keeps_its_history_byte_for_byte(void **state)
{
	char	   *lists[] = {(char *) "l1", (char *) "l2"};
	const HdmsRegistration sent = {.history = (char *) "[ \"a.b.c\" ]", .voucher = (char *) "v", .admission = (char *) "ad", .notaries_count = 2, .notaries = lists};
	const HdmsRegistration least = {.history = (char *) "[]"};
	HdmsRegistration got = {0};
	char	   *json = NULL;

	(void) state;
	assert_int_equal(hdms_wire_registration_print(&sent, &json), HDMS_OK);
	assert_int_equal(hdms_wire_registration_parse(json, strlen(json), &got), HDMS_OK);
	assert_string_equal(got.history, sent.history);
	assert_string_equal(got.voucher, "v");
	assert_string_equal(got.admission, "ad");
	assert_int_equal(got.notaries_count, 2);
	assert_string_equal(got.notaries[1], "l2");
	hdms_wire_registration_free(&got);
	free(json);
	assert_int_equal(hdms_wire_registration_print(&least, &json), HDMS_OK);
	assert_string_equal(json, "{\"history\":[]}");
	assert_int_equal(hdms_wire_registration_parse(json, strlen(json), &got), HDMS_OK);
	assert_null(got.voucher);
	assert_null(got.admission);
	assert_int_equal(got.notaries_count, 0);
	hdms_wire_registration_free(&got);
	hdms_wire_registration_free(&got);
	free(json);
	assert_int_equal(registration_outcome("{}"), HDMS_BAD_CLAIM);
	assert_int_equal(registration_outcome("{\"history\":\"[]\"}"), HDMS_BAD_CLAIM);
	assert_int_equal(registration_outcome("{\"history\":[],\"voucher\":null}"), HDMS_BAD_CLAIM);
	assert_int_equal(registration_outcome("{\"history\":[],\"notaries\":\"x\"}"), HDMS_BAD_CLAIM);
	assert_int_equal(registration_outcome("{\"history\":[],\"notaries\":[\"a\",\"\"]}"), HDMS_BAD_CLAIM);
	assert_int_equal(registration_outcome("{\"history\":[],\"notaries\":[]}"), HDMS_OK);
}

static void
text_that_is_not_an_array_is_not_printed_as_a_history(void **state)
{
	static const char *const bad[] = {"", "{}", "[", "[],\"admission\":\"forged\"", "\"x\""};
	char	   *json = NULL;

	(void) state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		const HdmsRegistration registration = {.history = (char *) bad[i]};
		const HdmsNodeEntry entry = {.status = "active", .history = (char *) bad[i]};

		assert_int_equal(hdms_wire_registration_print(&registration, &json), HDMS_BAD_ARGUMENT);
		assert_int_equal(hdms_wire_node_print(&entry, &json), HDMS_BAD_ARGUMENT);
		assert_null(json);
	}
}

static void
a_node_entry_has_one_of_three_statuses(void **state)
{
	static const char *const statuses[] = {"pending", "active", "frozen"};
	HdmsNodeEntry got = {0};
	const char *bad = "{\"status\":\"gone\",\"history\":[]}";
	char	   *json = NULL;

	(void) state;
	for (int i = 0; i < 3; i++)
	{
		HdmsNodeEntry sent = {.history = (char *) "[\"x\"]", .admission = i == 1 ? (char *) "ad" : NULL};

		strcpy(sent.status, statuses[i]);
		assert_int_equal(hdms_wire_node_print(&sent, &json), HDMS_OK);
		assert_int_equal(hdms_wire_node_parse(json, strlen(json), &got), HDMS_OK);
		assert_string_equal(got.status, statuses[i]);
		assert_string_equal(got.history, "[\"x\"]");
		if (i == 1)
			assert_string_equal(got.admission, "ad");
		else
			assert_null(got.admission);
		hdms_wire_node_free(&got);
		free(json);
	}
	assert_int_equal(hdms_wire_node_parse(bad, strlen(bad), &got), HDMS_BAD_CLAIM);
	bad = "{\"status\":\"active\"}";
	assert_int_equal(hdms_wire_node_parse(bad, strlen(bad), &got), HDMS_BAD_CLAIM);
	assert_null(got.history);
}

static void
a_node_entry_says_where_it_is_in_the_log(void **state)
{
	static const char *const bad[] = {"[]", "{}", "{\"index\":1,\"checkpoint\":\"x\"}", "{\"index\":-1,\"checkpoint\":\"x\",\"proof\":[]}",
		"{\"index\":1,\"checkpoint\":\"\",\"proof\":[]}", "{\"checkpoint\":\"x\",\"proof\":[]}",
		"{\"index\":1,\"checkpoint\":\"x\",\"proof\":[1]}", "{\"index\":1,\"checkpoint\":\"x\",\"proof\":[\"abc\"]}"};
	HdmsHash	proof[2] = {{1}, {2}};
	HdmsNodeEntry sent = {.status = "active", .history = (char *) "[]", .checkpoint = (char *) "a\nb\n", .log_index = 77, .proof = proof, .proof_count = 2};
	HdmsNodeEntry got = {0};
	char	   *json = NULL;
	char		text[300];

	(void) state;
	assert_int_equal(hdms_wire_node_print(&sent, &json), HDMS_OK);
	assert_int_equal(hdms_wire_node_parse(json, strlen(json), &got), HDMS_OK);
	assert_string_equal(got.checkpoint, "a\nb\n");
	assert_int_equal(got.log_index, 77);
	assert_int_equal(got.proof_count, 2);
	assert_memory_equal(got.proof, proof, sizeof(proof));
	hdms_wire_node_free(&got);
	free(json);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		snprintf(text, sizeof(text), "{\"status\":\"active\",\"history\":[],\"log\":%s}", bad[i]);
		assert_int_equal(hdms_wire_node_parse(text, strlen(text), &got), HDMS_BAD_CLAIM);
		assert_null(got.proof);
	}
}

static void
the_network_is_a_key_and_a_list(void **state)
{
	char	   *json = NULL;
	char	   *jwk = NULL;
	char	   *list = NULL;
	const char *bad = "{\"network\":\"x\",\"notaries\":\"a.b.c\"}";

	(void) state;
	assert_int_equal(hdms_wire_network_print("{\"kty\":\"OKP\"}", "a.b.c", &json), HDMS_OK);
	assert_int_equal(hdms_wire_network_parse(json, strlen(json), &jwk, &list), HDMS_OK);
	assert_string_equal(jwk, "{\"kty\":\"OKP\"}");
	assert_string_equal(list, "a.b.c");
	free(json);
	free(jwk);
	free(list);
	jwk = list = NULL;
	assert_int_equal(hdms_wire_network_parse(bad, strlen(bad), &jwk, &list), HDMS_BAD_CLAIM);
	bad = "{\"network\":{},\"notaries\":3}";
	assert_int_equal(hdms_wire_network_parse(bad, strlen(bad), &jwk, &list), HDMS_BAD_CLAIM);
	assert_null(jwk);
	assert_null(list);
	assert_int_equal(hdms_wire_network_print("[]", "a", &json), HDMS_BAD_ARGUMENT);
}

static void
a_session_has_an_id_a_secret_and_an_end(void **state)
{
	const HdmsSession sent = {.id = "s-1", .secret = (char *) "a.b.c.d.e", .expires = 1767225600};
	HdmsSession got = {0};
	char	   *json = NULL;
	const char *bad = "{\"session\":\"s 1\",\"secret\":\"x\",\"expires\":1}";

	(void) state;
	assert_int_equal(hdms_wire_session_print(&sent, &json), HDMS_OK);
	assert_int_equal(hdms_wire_session_parse(json, strlen(json), &got), HDMS_OK);
	assert_string_equal(got.id, "s-1");
	assert_string_equal(got.secret, "a.b.c.d.e");
	assert_int_equal(got.expires, 1767225600);
	free(got.secret);
	free(json);
	got = (HdmsSession) {0};
	assert_int_equal(hdms_wire_session_parse(bad, strlen(bad), &got), HDMS_BAD_CLAIM);
	bad = "{\"session\":\"s1\",\"secret\":\"x\"}";
	assert_int_equal(hdms_wire_session_parse(bad, strlen(bad), &got), HDMS_BAD_CLAIM);
	bad = "{\"session\":\"s1\",\"expires\":1}";
	assert_int_equal(hdms_wire_session_parse(bad, strlen(bad), &got), HDMS_BAD_CLAIM);
	assert_null(got.secret);
	got = sent;
	got.id[0] = '\0';
	assert_int_equal(hdms_wire_session_print(&got, &json), HDMS_BAD_ARGUMENT);
}

static void
a_problem_tells_its_word_detail_and_the_server_s_time(void **state)
{
	char		word[48];
	char	   *detail = NULL;
	char	   *json = NULL;
	int64_t		now = 5;

	(void) state;
	assert_int_equal(hdms_wire_problem_print("clock-skew", "The clock is \"wrong\"", 401, "by an hour", 1767225600, &json), HDMS_OK);
	assert_string_equal(json, "{\"type\":\"urn:hdms:problem:clock-skew\",\"title\":\"The clock is \\\"wrong\\\"\",\"status\":401,"
						"\"detail\":\"by an hour\",\"now\":1767225600}");
	assert_int_equal(hdms_wire_problem_parse(json, strlen(json), word, &detail, &now), HDMS_OK);
	assert_string_equal(word, "clock-skew");
	assert_string_equal(detail, "by an hour");
	assert_int_equal(now, 1767225600);
	free(json);
	free(detail);
	assert_int_equal(hdms_wire_problem_print("expired", "Expired", 410, NULL, 0, &json), HDMS_OK);
	assert_string_equal(json, "{\"type\":\"urn:hdms:problem:expired\",\"title\":\"Expired\",\"status\":410}");
	free(json);
	assert_int_equal(hdms_wire_problem_print("not a word", "T", 400, NULL, 0, &json), HDMS_BAD_ARGUMENT);
}

static void
foreign_problems_have_no_word(void **state)
{
	static const char *const foreign[] = {
		"{}", "{\"type\":\"about:blank\",\"detail\":\"\"}", "{\"type\":7,\"detail\":7,\"now\":\"x\"}",
		"{\"type\":\"urn:hdms:problem:a-word-that-is-longer-than-any-of-ours-could-ever-be\"}",
	};
	char		word[48];
	char	   *detail = NULL;
	int64_t		now = 5;

	(void) state;
	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
	{
		strcpy(word, "before");
		now = 5;
		assert_int_equal(hdms_wire_problem_parse(foreign[i], strlen(foreign[i]), word, &detail, &now), HDMS_OK);
		assert_string_equal(word, "");
		assert_string_equal(detail, "");
		assert_int_equal(now, 0);
		free(detail);
	}
	detail = NULL;
	assert_int_equal(hdms_wire_problem_parse("<html>", 6, word, &detail, &now), HDMS_BAD_JSON);
	assert_null(detail);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(envelopes_that_are_put_arrive),
		cmocka_unit_test(nothing_to_put_is_an_empty_list),
		cmocka_unit_test(malformed_envelopes_are_refused_as_a_whole),
		cmocka_unit_test(malformed_envelopes_are_not_printed),
		cmocka_unit_test(results_say_the_epoch_and_one_status_each),
		cmocka_unit_test(a_mailbox_arrives_and_says_whether_there_is_more),
		cmocka_unit_test(an_acknowledgement_may_ask_for_more),
		cmocka_unit_test(a_registration_keeps_its_history_byte_for_byte),
		cmocka_unit_test(text_that_is_not_an_array_is_not_printed_as_a_history),
		cmocka_unit_test(a_node_entry_has_one_of_three_statuses),
		cmocka_unit_test(a_node_entry_says_where_it_is_in_the_log),
		cmocka_unit_test(the_network_is_a_key_and_a_list),
		cmocka_unit_test(a_session_has_an_id_a_secret_and_an_end),
		cmocka_unit_test(a_problem_tells_its_word_detail_and_the_server_s_time),
		cmocka_unit_test(foreign_problems_have_no_word),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
