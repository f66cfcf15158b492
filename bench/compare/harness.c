/* SPDX-License-Identifier: MIT
 *
 * One repetition of one workload. See harness.h.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"

#define MOST_THREADS 256
#define MOST_NUMBERS 16

static const struct workload *workload;
static pthread_barrier_t barrier;
static uint64_t timed_ns = 100000000;

static struct {
	const char *name;
	double value;
} numbers[MOST_NUMBERS];
static size_t number_count;

void fail(const char *what)
{
	fprintf(stderr, "compare/%s: %s\n", peer.name, what);
	exit(1);
}

void report(const char *name, double value)
{
	if (number_count == MOST_NUMBERS)
		fail("too many numbers");
	numbers[number_count].name = name;
	numbers[number_count++].value = value;
}

uint64_t now_ns(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static uint64_t cpu_ns(void)
{
	struct timespec time;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* A line of /proc/self/status, which is in KiB. */
static uint64_t status_bytes(const char *name)
{
	char line[256];
	unsigned long long kib = 0;
	FILE *file = fopen("/proc/self/status", "r");
	if (file == NULL)
		fail("cannot read /proc/self/status");
	while (fgets(line, sizeof(line), file) != NULL)
		if (strncmp(line, name, strlen(name)) == 0)
			kib = strtoull(line + strlen(name), NULL, 10);
	fclose(file);
	return kib * 1024;
}

uint64_t resident_bytes(void)
{
	return status_bytes("VmRSS:");
}

void job_pause(struct job *job)
{
	job->paused_at = now_ns();
}

void job_resume(struct job *job)
{
	job->paused_ns += now_ns() - job->paused_at;
}

const char *job_parameter(const struct job *job, int index)
{
	if (index >= job->parameter_count)
		fail("the workload needs more parameters");
	return job->parameters[index];
}

static uint64_t number(const char *text, const char *what)
{
	char *end;
	errno = 0;
	unsigned long long value = strtoull(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0')
		fail(what);
	return value;
}

uint64_t job_number(const struct job *job, int index)
{
	return number(job_parameter(job, index), "a parameter is not a number");
}

static void warm_up(struct job *job)
{
	uint64_t began = now_ns();
	while (!workload->is_once && now_ns() - began < timed_ns / 4)
		workload->batch(job);
	job->paused_ns = 0;
}

static void measure(struct job *job)
{
	uint64_t began = now_ns(), elapsed;
	do {
		job->operations += workload->batch(job);
		elapsed = now_ns() - began;
		/* Where most of a batch is not timed, that has an end too. */
	} while (!workload->is_once && elapsed - job->paused_ns < timed_ns && elapsed < 5 * timed_ns);
	if (workload->finish != NULL)
		workload->finish(job);
	job->elapsed_ns = now_ns() - began - job->paused_ns;
}

static void *other_thread(void *argument)
{
	struct job *job = argument;
	if (peer.thread_begin != NULL)
		peer.thread_begin();
	pthread_barrier_wait(&barrier);
	if (workload->prepare != NULL)
		workload->prepare(job);
	pthread_barrier_wait(&barrier);
	warm_up(job);
	pthread_barrier_wait(&barrier);
	measure(job);
	pthread_barrier_wait(&barrier);
	if (peer.thread_end != NULL)
		peer.thread_end();
	return NULL;
}

static void *idle_thread(void *argument)
{
	for (;;)
		pause();
	return argument;
}

static void start(pthread_t *thread, void *(*function)(void *), void *argument)
{
	if (pthread_create(thread, NULL, function, argument) != 0)
		fail("cannot start a thread");
}

static void print_result(const struct job *jobs, int count, uint64_t used_cpu_ns)
{
	uint64_t elapsed = 0, operations = 0;
	for (int i = 0; i < count; i++) {
		elapsed += jobs[i].elapsed_ns;
		operations += jobs[i].operations;
	}
	if (operations == 0)
		fail("nothing was done");
	printf("%.4f %llu cpu_ns=%.4f", (double)elapsed / (double)operations,
	       (unsigned long long)status_bytes("VmHWM:"), (double)used_cpu_ns / (double)operations);
	for (size_t i = 0; i < number_count; i++)
		printf(" %s=%.6g", numbers[i].name, numbers[i].value);
	putchar('\n');
}

int main(int argc, char **argv)
{
	static struct job jobs[MOST_THREADS];
	pthread_t threads[MOST_THREADS];
	if (argc < 3)
		fail("usage: PEER WORKLOAD THREADS [PARAMETER...]");
	for (workload = peer.workloads; workload->name != NULL && strcmp(workload->name, argv[1]) != 0;)
		workload++;
	if (workload->name == NULL)
		fail("no such workload");
	int count = (int)number(argv[2], "THREADS is not a number");
	if (count < 1 || count > MOST_THREADS)
		fail("THREADS is from 1 to 256");
	const char *milliseconds = getenv("COMPARE_MILLISECONDS");
	if (milliseconds != NULL)
		timed_ns = 1000000 * number(milliseconds, "COMPARE_MILLISECONDS is not a number");

	if (peer.begin != NULL)
		peer.begin();
	/* Some peers leave out atomic operations while a process has one thread. All have two. */
	start(&threads[0], idle_thread, NULL);
	pthread_barrier_init(&barrier, NULL, (unsigned)count);
	for (int i = 0; i < count; i++) {
		jobs[i] = (struct job){.thread = i,
		                       .threads = count,
		                       .parameter_count = argc - 3,
		                       .parameters = argv + 3,
		                       .random = 88172645463325252u + 1000003u * (uint64_t)i};
		if (i > 0)
			start(&threads[i], other_thread, &jobs[i]);
	}
	if (workload->prepare != NULL)
		workload->prepare(&jobs[0]);
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	warm_up(&jobs[0]);
	pthread_barrier_wait(&barrier);
	uint64_t cpu = cpu_ns();
	measure(&jobs[0]);
	pthread_barrier_wait(&barrier);
	cpu = cpu_ns() - cpu;
	print_result(jobs, count, cpu);
	fflush(stdout);
	/* What is still alive is not taken apart. */
	_exit(0);
}
