/* SPDX-License-Identifier: MIT
 *
 * Which files are read, and how.
 */
#include "input.h"

#include <errno.h>
#include <glob.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "source.h"

#define LISTS "/var/lib/apt/lists/*_Packages*"
#define DECOMPRESSOR "/usr/lib/apt/apt-helper"
#define SAMPLE "tests/data/packages-sample"

extern char **environ;

/* gzip, bzip2, xz, lz4, zstd: what apt-helper knows. */
static bool is_compressed(FILE *stream)
{
	static const struct {
		const char *bytes;
		size_t length;
	} magic[] = {
		{"\x1f\x8b", 2},
		{"BZh", 3},
		{"\xfd"
	         "7zXZ",
	         5},
		{"\x04\x22\x4d\x18", 4},
		{"\x28\xb5\x2f\xfd", 4},
	};
	char begin[8];
	size_t length = fread(begin, 1, sizeof(begin), stream);
	rewind(stream);
	for (size_t i = 0; i < sizeof(magic) / sizeof(magic[0]); i++)
		if (length >= magic[i].length && memcmp(begin, magic[i].bytes, magic[i].length) == 0)
			return true;
	return false;
}

static void decompress(struct input *input)
{
	int ends[2];
	char program[] = DECOMPRESSOR, command[] = "cat-file", *name = strdup(input->file);
	char *arguments[] = {program, command, name, NULL};
	posix_spawn_file_actions_t actions;
	fclose(input->stream);
	if (access(DECOMPRESSOR, X_OK) != 0)
		source_fail(input->file, 0, "compressed, and %s is not there to decompress it", DECOMPRESSOR);
	if (name == NULL || pipe(ends) != 0)
		source_fail(input->file, 0, "cannot make a pipe: %s", strerror(errno));
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
	posix_spawn_file_actions_addclose(&actions, ends[0]);
	posix_spawn_file_actions_addclose(&actions, ends[1]);
	int error = posix_spawn(&input->child, DECOMPRESSOR, &actions, NULL, arguments, environ);
	posix_spawn_file_actions_destroy(&actions);
	free(name);
	close(ends[1]);
	if (error != 0)
		source_fail(input->file, 0, "cannot start %s: %s", DECOMPRESSOR, strerror(error));
	input->stream = fdopen(ends[0], "r");
	if (input->stream == NULL)
		source_fail(input->file, 0, "cannot read from %s: %s", DECOMPRESSOR, strerror(errno));
}

void input_open(struct input *input, const char *file)
{
	struct stat status;
	*input = (struct input){.file = file, .stream = fopen(file, "re")};
	if (input->stream == NULL)
		source_fail(file, 0, "cannot open: %s", strerror(errno));
	if (fstat(fileno(input->stream), &status) != 0)
		source_fail(file, 0, "cannot look at it: %s", strerror(errno));
	if (S_ISDIR(status.st_mode))
		source_fail(file, 0, "a directory, not a file");
	if (S_ISREG(status.st_mode) && is_compressed(input->stream))
		decompress(input);
}

void input_close(struct input *input)
{
	fclose(input->stream);
	if (input->child == 0)
		return;
	int status;
	while (waitpid(input->child, &status, 0) < 0)
		if (errno != EINTR)
			source_fail(input->file, 0, "lost %s: %s", DECOMPRESSOR, strerror(errno));
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		source_fail(input->file, 0, "%s could not decompress it", DECOMPRESSOR);
}

/* From the source's root, or beside the folder where the program was built. */
static void find_sample(char *path, size_t size)
{
	static const char up[] = "/../../" SAMPLE;
	snprintf(path, size, "%s", SAMPLE);
	if (access(path, R_OK) == 0)
		return;
	ssize_t length = readlink("/proc/self/exe", path, size - sizeof(up));
	path[length > 0 ? length : 0] = '\0';
	char *slash = strrchr(path, '/');
	if (slash != NULL)
		memcpy(slash, up, sizeof(up));
	if (slash == NULL || access(path, R_OK) != 0)
		snprintf(path, size, "%s", SAMPLE); /* the name that the error shall show */
}

static void read_one(struct source *source, const char *file)
{
	uint32_t before = source->stanza_count;
	source_read(source, file);
	printf("  %s: %u stanzas\n", file, source->stanza_count - before);
}

/* An apt list is read only if it can be: a decompressor may be missing, or the right to read. */
static bool is_readable(const char *file)
{
	FILE *stream = fopen(file, "re");
	if (stream == NULL)
		return false;
	bool readable = fgetc(stream) != EOF && (rewind(stream), true) &&
	                (!is_compressed(stream) || access(DECOMPRESSOR, X_OK) == 0);
	fclose(stream);
	return readable;
}

static bool read_apt_lists(struct source *source)
{
	glob_t lists;
	if (glob(LISTS, 0, NULL, &lists) != 0)
		return false;
	for (size_t i = 0; i < lists.gl_pathc; i++)
		if (is_readable(lists.gl_pathv[i]))
			read_one(source, lists.gl_pathv[i]);
	globfree(&lists);
	return source->stanza_count > 0;
}

void source_read_all(struct source *source, char *const *files, int count)
{
	char sample[4096];
	printf("reading %s\n", count > 0 ? "the files that were named" : "this machine's apt lists");
	for (int i = 0; i < count; i++)
		read_one(source, files[i]);
	if (count > 0 || read_apt_lists(source))
		return;
	printf("  none that can be read; reading the sample instead\n");
	find_sample(sample, sizeof(sample));
	read_one(source, sample);
}
