/* SPDX-License-Identifier: MIT
 *
 * The Debian package universe as a live graph of objects. Needs no package and no -l beyond what libcgc needs.
 */
#include <cgc.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "build.h"
#include "check.h"
#include "report.h"

static const char help[] =
	"demo [FILE...]\n"
	"\n"
	"Makes the packages of dpkg status files or apt Packages lists (compressed or not) a graph that all "
	"threads\n"
	"share: writers install, remove and replace the universe, readers resolve dependencies all the while, "
	"and\n"
	"nothing is freed by hand. Without FILE: this machine's apt lists, or else "
	"tests/data/packages-sample.\n"
	"At the end it compares what is live with what it can reach itself. Exit status 0: equal; 1: not, or "
	"an error.\n"
	"\n"
	"Environment:\n"
	"  DURATION  seconds (10)\n"
	"  THREADS   all of them, half write (4)\n"
	"  LIMIT     packages in the largest universe; each has a tenth of it to all (3000)\n"
	"  CLOSURE   packages that a request reads at most (200)\n"
	"  SWAP      milliseconds between two universes of the same writer (250)\n"
	"  SEED      of the random choices (1)\n"
	"  FILE      an input file, if none is an argument\n"
	"  CGC_OPTIONS  of the library\n";

static unsigned long number(const char *name, unsigned long preset, unsigned long least, unsigned long most)
{
	const char *text = getenv(name);
	if (text == NULL || *text == '\0')
		return preset;
	char *end;
	errno = 0;
	unsigned long value = strtoul(text, &end, 10);
	if (errno != 0 || *end != '\0' || *text < '0' || *text > '9' || value < least || value > most) {
		fprintf(stderr, "demo: %s=%s: not a number from %lu to %lu\n", name, text, least, most);
		exit(1);
	}
	return value;
}

static struct settings read_settings(void)
{
	return (struct settings){
		.seconds = (unsigned)number("DURATION", 10, 1, 1000000),
		.threads = (unsigned)number("THREADS", 4, 2, 1000),
		.packages = (unsigned)number("LIMIT", 3000, 10, 1000000),
		.closure = (unsigned)number("CLOSURE", 200, 1, 100000),
		.swap = (unsigned)number("SWAP", 250, 1, 1000000),
		.seed = number("SEED", 1, 0, ~0ul),
	};
}

static void read_input(struct source *source, char **files, int count)
{
	char *file = getenv("FILE");
	bool is_named = count == 0 && file != NULL && *file != '\0';
	source_init(source);
	if (is_named)
		source_read_all(source, &file, 1);
	else
		source_read_all(source, files, count);
	printf("%u stanzas of %u packages, %u names, %u dependencies, %u alternatives\n", source->stanza_count,
	       source->named_count, source->name_count, source->dependency_count, source->alternative_count);
}

static void build_first(const struct source *source, const struct settings *settings)
{
	struct builder *builder = builder_new(source);
	uint64_t random = settings->seed, began = latency_now();
	struct universe *universe = builder_run(builder, settings->packages, &random);
	printf("first universe: %u packages, %u versions, %u edges to %u names, built in %.0f ms\n",
	       universe->seal.id, universe->versions, universe->edges, universe->packages,
	       (double)(latency_now() - began) / 1e6);
	cgc_store_consume(CGC_ROOT, &current, universe);
	builder_free(builder);
}

/* A line each second until the time is over or a signal comes; returns the seconds. */
static double watch(struct crew *crew, const struct settings *settings, const sigset_t *signals)
{
	uint64_t began = latency_now(), before = began, done_before = 0;
	for (unsigned second = 1; second <= settings->seconds; second++) {
		uint64_t next = began + second * UINT64_C(1000000000), now;
		int signal_number = -1;
		cgc_park();
		while (signal_number < 0 && (now = latency_now()) < next) {
			struct timespec left = {.tv_sec = (time_t)((next - now) / 1000000000),
			                        .tv_nsec = (long)((next - now) % 1000000000)};
			signal_number = sigtimedwait(signals, NULL, &left);
		}
		cgc_unpark();
		uint64_t done = crew_done(crew);
		now = latency_now();
		report_line(second, (double)(done - done_before) * 1e9 / (double)(now - before));
		before = now;
		done_before = done;
		if (signal_number >= 0)
			break;
	}
	return (double)(latency_now() - began) / 1e9;
}

int main(int argc, char **argv)
{
	if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		fputs(help, stdout);
		return 0;
	}
	struct settings settings = read_settings();
	struct source source;
	struct crew crew;
	read_input(&source, argv + 1, argc - 1);

	/* Blocked before the first thread, the library's too: watch() waits for them. */
	sigset_t signals;
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	int error = cgc_start(NULL);
	if (error != 0) {
		fprintf(stderr, "demo: cgc_start: %s\n", strerror(error));
		return 1;
	}
	printf("%u s, %u threads, seed %llu\n", settings.seconds, settings.threads,
	       (unsigned long long)settings.seed);
	build_first(&source, &settings);
	crew_start(&crew, &settings, &source);
	report_lines_begin();
	double seconds = watch(&crew, &settings, &signals);
	pthread_sigmask(SIG_UNBLOCK, &signals, NULL); /* a second one ends the program as usual */
	report_lines_end();
	crew_join(&crew);
	report_table(&crew, seconds);
	bool is_right = check_end();
	size_t left = cgc_stop();
	if (left != 0)
		printf("%zu objects are left after cgc_stop()\n", left);
	crew_free(&crew);
	source_free(&source);
	return is_right && left == 0 ? 0 : 1;
}
