/*
 * emr.c
 *		An EMR for the benchmarks: issues records over one connection, as an EMR's own transactions would.
 *
 *	emr issue CONNINFO PATIENTS RECORDS SIZE	the patients P-1 ... P-PATIENTS in turn; one transaction each
 *	emr latency CONNINFO PATIENT RECORDS SIZE	one after the other, each waited for until its event "committed" is there;
 *												a line with the milliseconds for each
 *
 * SIZE is the bytes of a record, at least 1000; 0: from 1,000 to 2,000, by turns.
 */
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LATENCY_LIMIT_MS	30000
#define LOOK_EVERY_US		500
#define NOTE_LEAST			10		/* with it a record has about 1,000 bytes */

static void
must(int ok, const char *what)
{
	if (!ok)
	{
		fprintf(stderr, "emr: %s\n", what);
		exit(1);
	}
}

static double
milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

/* A laboratory result as FHIR has it. */
static void
observation(long number, long wanted, char *out, size_t size)
{
	int			note = (int) (wanted == 0 ? number * 397 % 1000 : wanted - 1000);

	must(snprintf(out, size,
				  "{\"resourceType\":\"Observation\",\"id\":\"o-%ld\",\"status\":\"final\","
				  "\"meta\":{\"profile\":[\"http://hl7.org/fhir/StructureDefinition/vitalsigns\"],\"lastUpdated\":\"2026-03-01T08:15:00Z\"},"
				  "\"category\":[{\"coding\":[{\"system\":\"http://terminology.hl7.org/CodeSystem/observation-category\","
				  "\"code\":\"laboratory\",\"display\":\"Laboratory\"}]}],"
				  "\"code\":{\"coding\":[{\"system\":\"http://loinc.org\",\"code\":\"4548-4\",\"display\":\"Hemoglobin A1c/Hemoglobin.total in Blood\"}],\"text\":\"HbA1c\"},"
				  "\"subject\":{\"reference\":\"Patient/example\"},\"encounter\":{\"reference\":\"Encounter/example\"},"
				  "\"effectiveDateTime\":\"2026-03-01T08:00:00+00:00\",\"issued\":\"2026-03-01T08:15:00.000+00:00\","
				  "\"valueQuantity\":{\"value\":6.9,\"unit\":\"%%\",\"system\":\"http://unitsofmeasure.org\",\"code\":\"%%\"},"
				  "\"referenceRange\":[{\"low\":{\"value\":4.0,\"unit\":\"%%\"},\"high\":{\"value\":5.6,\"unit\":\"%%\"},\"text\":\"normal\"}],"
				  "\"note\":[{\"text\":\"%0*ld\"}]}", number, note + NOTE_LEAST, number) < (int) size, "the record is too large");
}

static PGconn *
connect_to(const char *conninfo)
{
	PGconn	   *connection = PQconnectdb(conninfo);
	PGresult   *result;

	must(PQstatus(connection) == CONNECTION_OK, PQerrorMessage(connection));
	result = PQprepare(connection, "issue", "SELECT hdms.issue($1, $2)", 2, NULL);
	must(PQresultStatus(result) == PGRES_COMMAND_OK, PQerrorMessage(connection));
	PQclear(result);
	result = PQprepare(connection, "committed", "SELECT 1 FROM hdms.events WHERE record = $1 AND status = 'committed' AND id > $2", 2, NULL);
	must(PQresultStatus(result) == PGRES_COMMAND_OK, PQerrorMessage(connection));
	PQclear(result);
	return connection;
}

static PGresult *
issue(PGconn *connection, const char *patient, long number, long size)
{
	char		content[10000];
	const char *values[2] = {patient, content};
	PGresult   *result;

	observation(number, size, content, sizeof content);
	result = PQexecPrepared(connection, "issue", 2, values, NULL, NULL, 0);
	must(PQresultStatus(result) == PGRES_TUPLES_OK, PQerrorMessage(connection));
	return result;
}

static void
issue_many(PGconn *connection, long patients, long records, long size)
{
	for (long i = 0; i < records; i++)
	{
		char		patient[32];

		snprintf(patient, sizeof patient, "P-%ld", i % patients + 1);
		PQclear(issue(connection, patient, i, size));
	}
}

static void
newest_event(PGconn *connection, char id[32])
{
	PGresult   *result = PQexec(connection, "SELECT coalesce(max(id), 0) FROM hdms.events");

	must(PQresultStatus(result) == PGRES_TUPLES_OK, PQerrorMessage(connection));
	snprintf(id, 32, "%s", PQgetvalue(result, 0, 0));
	PQclear(result);
}

static void
issue_and_wait(PGconn *connection, const char *patient, long number, long size)
{
	char		after[32];
	double		start;
	PGresult   *issued;
	int			found = 0;

	newest_event(connection, after);
	start = milliseconds();
	issued = issue(connection, patient, number, size);
	while (!found)
	{
		const char *values[2] = {PQgetvalue(issued, 0, 0), after};
		struct timespec pause = {0, LOOK_EVERY_US * 1000};
		PGresult   *result;

		nanosleep(&pause, NULL);
		result = PQexecPrepared(connection, "committed", 2, values, NULL, NULL, 0);
		must(PQresultStatus(result) == PGRES_TUPLES_OK, PQerrorMessage(connection));
		found = PQntuples(result) > 0;
		PQclear(result);
		must(milliseconds() - start < LATENCY_LIMIT_MS, "a record was not committed in time");
	}
	printf("%.2f\n", milliseconds() - start);
	PQclear(issued);
}

int
main(int argc, char **argv)
{
	PGconn	   *connection;
	long		records;
	long		size;

	must(argc == 6, "usage: emr issue CONNINFO PATIENTS RECORDS SIZE | emr latency CONNINFO PATIENT RECORDS SIZE");
	connection = connect_to(argv[2]);
	records = atol(argv[4]);
	size = atol(argv[5]);
	must(size == 0 || (size >= 1000 && size <= 8000), "SIZE is 0, or from 1000 to 8000");
	if (strcmp(argv[1], "issue") == 0)
		issue_many(connection, atol(argv[3]), records, size);
	else
		for (long i = 0; i < records; i++)
			issue_and_wait(connection, argv[3], i, size);
	PQfinish(connection);
	return 0;
}
