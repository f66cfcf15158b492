/* SPDX-License-Identifier: MIT
 *
 * Tests of what ends a program: the test program starts itself again with the name of a scene, with options in
 * CGC_OPTIONS, and looks at how that ended and at what it wrote to stderr.
 */
#ifndef TESTS_CHILD_H
#define TESTS_CHILD_H

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node.h"

/* POSIX wants the program to declare it. */
extern char **environ;

struct scene {
	const char *name;
	void (*play)(void);
};

struct ending {
	int status; /* as from waitpid() */
	char text[16384];
};

/* Child: plays the scene named in argv and exits; returns if there is none. */
UNUSED static void play_scene(int argc, char **argv, const struct scene *scenes, size_t count)
{
	if (argc < 2)
		return;
	/* An abort is expected: no core file. */
	struct rlimit none = {0, 0};
	setrlimit(RLIMIT_CORE, &none);
	for (size_t i = 0; i < count; i++)
		if (strcmp(scenes[i].name, argv[1]) == 0) {
			scenes[i].play();
			exit(0);
		}
	fprintf(stderr, "%s: no scene %s\n", argv[0], argv[1]);
	exit(2);
}

/* The environment with one variable replaced or added. */
UNUSED static char **with_variable(char *variable)
{
	size_t count = 0, length = strcspn(variable, "=") + 1, kept = 0;
	while (environ[count] != NULL)
		count++;
	char **environment = calloc(count + 2, sizeof(*environment));
	assert_non_null(environment);
	for (size_t i = 0; i < count; i++)
		if (strncmp(environ[i], variable, length) != 0)
			environment[kept++] = environ[i];
	environment[kept] = variable;
	return environment;
}

/* Parent: the scene in a new process. */
UNUSED static void run_scene(const char *name, const char *options, struct ending *ending)
{
	int ends[2];
	assert_int_equal(pipe(ends), 0);
	/* Not fork(): the handlers of jemalloc lock more than ThreadSanitizer can count. */
	posix_spawn_file_actions_t actions;
	char variable[256], *arguments[] = {(char[]){"scene"}, (char *)name, NULL};
	snprintf(variable, sizeof(variable), "CGC_OPTIONS=%s", options != NULL ? options : "");
	char **environment = with_variable(variable);
	assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
	assert_int_equal(posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO), 0);
	assert_int_equal(posix_spawn_file_actions_addclose(&actions, ends[0]), 0);
	pid_t child;
	assert_int_equal(posix_spawn(&child, "/proc/self/exe", &actions, NULL, arguments, environment), 0);
	posix_spawn_file_actions_destroy(&actions);
	free(environment);
	close(ends[1]);
	size_t length = 0;
	for (;;) {
		ssize_t got = read(ends[0], ending->text + length, sizeof(ending->text) - 1 - length);
		if (got > 0)
			length += (size_t)got;
		else if (got == 0 || errno != EINTR)
			break;
	}
	ending->text[length] = '\0';
	close(ends[0]);
	while (waitpid(child, &ending->status, 0) < 0)
		assert_int_equal(errno, EINTR);
}

UNUSED static void assert_says(const struct ending *ending, const char *part)
{
	if (strstr(ending->text, part) == NULL)
		fail_msg("stderr does not say \"%s\" but:\n%s", part, ending->text);
}

/* The scene must abort with "cgc: <function>: ..." that also says `what`. */
UNUSED static void assert_aborts(const char *scene, const char *options, const char *function, const char *what)
{
	struct ending ending;
	char start[128];
	run_scene(scene, options, &ending);
	if (!WIFSIGNALED(ending.status) || WTERMSIG(ending.status) != SIGABRT)
		fail_msg("scene %s: expected SIGABRT, got status %#x, stderr:\n%s", scene, ending.status,
		         ending.text);
	snprintf(start, sizeof(start), "cgc: %s: ", function);
	assert_says(&ending, start);
	assert_says(&ending, what);
}

UNUSED static void assert_ends_well(const char *scene, const char *options)
{
	struct ending ending;
	run_scene(scene, options, &ending);
	if (!WIFEXITED(ending.status) || WEXITSTATUS(ending.status) != 0)
		fail_msg("scene %s: expected success, got status %#x, stderr:\n%s", scene, ending.status,
		         ending.text);
}

#endif
