/* SPDX-License-Identifier: MIT
 *
 * Options from the environment, seeds or files, children that run the programs, and a watch on them.
 */
#define _GNU_SOURCE /* memfd_create() */
#include "drive.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "world.h"

#define PROGRAMS_PER_CHILD 2000u

#define CHILD "--child="

struct progress *progress;

static struct {
	const char *name;
	bool together;
	int shared; /* file descriptor */
	uint64_t seed, operations;
	unsigned threads, ops, duration, timeout, shrink;
} setting;

static uint64_t now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * UINT64_C(1000000000) + (uint64_t)time.tv_nsec;
}

/* The first violation ends the process. */
void violated(const char *file, int line, const char *format, ...)
{
	char what[512];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(what, sizeof(what), format, arguments);
	va_end(arguments);
	const struct program *program = world.program;
	fprintf(stderr, "SEED=%" PRIu64 " THREADS=%u OPS=%zu ROUND=%u: violated at %s:%d: %s\n", program->seed,
	        program->threads, program->count, world.quiet_points, file, line, what);
	if (progress == NULL)
		abort(); /* libFuzzer saves the bytes */
	_exit(1);
}

static uint64_t number(const char *name, uint64_t otherwise, uint64_t least, uint64_t most)
{
	const char *text = getenv(name);
	if (text == NULL || *text == '\0')
		return otherwise;
	char *end;
	errno = 0;
	uint64_t value = strtoull(text, &end, 0);
	if (*end != '\0' || *text == '-' || errno != 0 || value < least || value > most) {
		fprintf(stderr, "%s: %s=%s: expected a number from %" PRIu64 " to %" PRIu64 "\n", setting.name,
		        name, text, least, most);
		exit(1);
	}
	return value;
}

/* Blocks until the child ends or the time is over; `alive` says whether to wait for another while. */
static enum outcome watch_child(pid_t child, unsigned seconds, bool (*alive)(void))
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	for (;;) {
		int status;
		if (waitpid(child, &status, WNOHANG) == child)
			return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? CLEAN : FAILED;
		const struct timespec time = {.tv_sec = seconds};
		if (sigtimedwait(&set, NULL, &time) == SIGCHLD || errno == EINTR || (alive != NULL && alive()))
			continue;
		if (waitpid(child, &status, WNOHANG) == child)
			return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? CLEAN : FAILED;
		kill(child, SIGKILL);
		waitpid(child, &status, 0);
		return HUNG;
	}
}

static pid_t start_child(bool silent)
{
	char argument[32];
	char *arguments[] = {(char *)(uintptr_t)setting.name, argument, NULL};
	snprintf(argument, sizeof(argument), CHILD "%d", setting.shared);
	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	for (int output = 1; silent && output <= 2; output++)
		posix_spawn_file_actions_addopen(&actions, output, "/dev/null", O_WRONLY, 0);
	fflush(NULL);
	pid_t child;
	int error = posix_spawn(&child, "/proc/self/exe", &actions, NULL, arguments, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (error != 0) {
		fprintf(stderr, "%s: posix_spawn: %s\n", setting.name, strerror(error));
		exit(1);
	}
	return child;
}

enum outcome run_repeatedly(const struct program *program, unsigned times, unsigned seconds, bool silent)
{
	progress->times = times;
	progress->program = *program;
	memcpy(progress->ops, program->ops, program->count * sizeof(*program->ops));
	return watch_child(start_child(silent), seconds, NULL);
}

/* The seed fixes all but what the environment says. */
static void generate(struct program *program, uint64_t seed)
{
	size_t count = setting.ops;
	if (count == 0)
		count = (setting.together ? 256u : 64u)
		        << mix(seed ^ UINT64_C(0x77777777)) % (setting.together ? 6 : 5);
	program_generate(program, seed, setting.threads, count, setting.together);
}

static void run_seeds(void)
{
	for (unsigned i = 0; i < PROGRAMS_PER_CHILD; i++) {
		/* No order needed: only this process writes them. */
		uint64_t operations = atomic_load_explicit(&progress->operations, memory_order_relaxed);
		if (setting.operations != 0 ? operations >= setting.operations : now() >= progress->deadline)
			break;
		struct program program;
		generate(&program, progress->seed);
		run_program(&program);
		/* No order needed: numbers to look at. */
		atomic_fetch_add_explicit(&progress->operations, program.count, memory_order_relaxed);
		atomic_fetch_add_explicit(&progress->quiet_points, world.quiet_points, memory_order_relaxed);
		progress->seed++;
		atomic_fetch_add_explicit(&progress->programs, 1, memory_order_relaxed);
		program_free(&program);
	}
}

static bool has_progressed(void)
{
	static uint64_t last = UINT64_MAX;
	/* No order needed: a number that moves or does not. */
	uint64_t programs = atomic_load_explicit(&progress->programs, memory_order_relaxed);
	bool moved = programs != last;
	last = programs;
	return moved;
}

static void save(const struct program *program)
{
	char path[512];
	const char *directory = getenv("ARTIFACTS");
	snprintf(path, sizeof(path), "%s/%s-%" PRIu64 ".bin", directory != NULL ? directory : ".", setting.name,
	         program->seed);
	FILE *file = fopen(path, "wb");
	if (file == NULL) {
		fprintf(stderr, "%s: %s: %s\n", setting.name, path, strerror(errno));
		return;
	}
	program_write(program, file);
	fclose(file);
	fprintf(stderr, "saved: %s (%s %s runs it again)\n", path, setting.name, path);
}

/* Shows it, alone and made smaller. */
static int report(struct program *program, enum outcome outcome, uint64_t operations)
{
	unsigned times = setting.together ? 300 : 30;
	fprintf(stderr, "%s: SEED=%" PRIu64 " THREADS=%u OPS=%zu: %s after %" PRIu64 " operations\n",
	        setting.name, program->seed, program->threads, program->count,
	        outcome == HUNG ? "hung" : "failed", operations);
	save(program);
	enum outcome again = run_repeatedly(program, times, setting.timeout, true);
	if (again == CLEAN) {
		fprintf(stderr, "%s: alone it does not fail %u times in a row\n", setting.name, times);
		return 1;
	}
	shrink(program, again, times, setting.shrink);
	save(program);
	fprintf(stderr, "%s: %zu operations are left:\n", setting.name, program->count);
	program_print(program, stderr);
	for (unsigned i = 0; i < 5 && run_repeatedly(program, times, setting.timeout, false) == CLEAN; i++)
		;
	return 1;
}

static int run_file(const char *path)
{
	static uint8_t bytes[1 << 20];
	FILE *file = fopen(path, "rb");
	if (file == NULL) {
		fprintf(stderr, "%s: %s: %s\n", setting.name, path, strerror(errno));
		return 1;
	}
	size_t length = fread(bytes, 1, sizeof(bytes), file);
	fclose(file);
	struct program program;
	program_read(&program, bytes, length);
	setting.together = program.together;
	enum outcome outcome = run_repeatedly(&program, setting.together ? 300 : 30, setting.timeout, false);
	int status = outcome == CLEAN ? 0 : report(&program, outcome, program.count);
	printf("%s: %s: %s\n", setting.name, path, outcome == CLEAN ? "ok" : "failed");
	program_free(&program);
	return status;
}

static int run_as_child(void)
{
	if (progress->times == 0) {
		run_seeds();
		return 0;
	}
	struct program program = progress->program;
	program.ops = progress->ops;
	for (unsigned i = 0; i < progress->times; i++)
		run_program(&program);
	return 0;
}

static void share(int descriptor)
{
	bool is_new = descriptor < 0;
	setting.shared = is_new ? memfd_create("fuzz", 0) : descriptor;
	if (setting.shared >= 0 && (!is_new || ftruncate(setting.shared, sizeof(*progress)) == 0))
		progress = mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE, MAP_SHARED, setting.shared, 0);
	if (progress == NULL || progress == MAP_FAILED) {
		fprintf(stderr, "%s: shared memory: %s\n", setting.name, strerror(errno));
		exit(1);
	}
}

static void read_settings(void)
{
	struct timespec time;
	clock_gettime(CLOCK_REALTIME, &time);
	uint64_t any = mix((uint64_t)time.tv_nsec ^ (uint64_t)time.tv_sec << 30 ^ (uint64_t)getpid()) >> 32;
	setting.seed = number("SEED", any, 0, UINT64_MAX);
	setting.threads = (unsigned)number("THREADS", 0, 0, THREADS_MAX);
	setting.ops = (unsigned)number("OPS", 0, 1, OPS_MOST);
	setting.operations = number("OPERATIONS", 0, 1, UINT64_MAX);
	setting.duration = (unsigned)number("DURATION", 10, 1, 1000000);
	setting.timeout = (unsigned)number("TIMEOUT", 120, 1, 100000);
	setting.shrink = (unsigned)number("SHRINK", 60, 0, 100000);
}

static int run_all_seeds(void)
{
	const char *options = getenv("CGC_OPTIONS");
	printf("SEED=%" PRIu64 " THREADS=%u DURATION=%u OPERATIONS=%" PRIu64 " CGC_OPTIONS=%s %s\n",
	       setting.seed, setting.threads, setting.duration, setting.operations,
	       options != NULL ? options : "", setting.name);
	uint64_t began = now(), operations;
	progress->deadline = began + (uint64_t)setting.duration * UINT64_C(1000000000);
	progress->seed = setting.seed;
	do {
		enum outcome outcome = watch_child(start_child(false), setting.timeout, has_progressed);
		/* No order needed: the child has ended. */
		operations = atomic_load_explicit(&progress->operations, memory_order_relaxed);
		if (outcome != CLEAN) {
			struct program program;
			generate(&program, progress->seed);
			report(&program, outcome, operations);
			program_free(&program);
			return 1;
		}
	} while (setting.operations != 0 ? operations < setting.operations : now() < progress->deadline);
	/* No order needed: the child has ended. */
	uint64_t programs = atomic_load_explicit(&progress->programs, memory_order_relaxed);
	/* No order needed: as above. */
	uint64_t quiet_points = atomic_load_explicit(&progress->quiet_points, memory_order_relaxed);
	double seconds = (double)(now() - began) / 1e9;
	printf("%s: ok: %" PRIu64 " operations, %" PRIu64 " programs, %" PRIu64
	       " quiet points, %.0f operations/s\n",
	       setting.name, operations, programs, quiet_points, (double)operations / seconds);
	return 0;
}

int drive(const char *name, int count, char **arguments, bool together)
{
	int status = 0;
	setting.name = name;
	setting.together = together;
	read_settings();
	if (count == 2 && strncmp(arguments[1], CHILD, strlen(CHILD)) == 0) {
		share(atoi(arguments[1] + strlen(CHILD)));
		return run_as_child();
	}
	share(-1);
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (int i = 1; i < count; i++)
		status |= run_file(arguments[i]);
	return count > 1 ? status : run_all_seeds();
}
