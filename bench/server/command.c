/* SPDX-License-Identifier: MIT
 *
 * From a request to the function that runs it, and what all of those need.
 */
#include "command.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct command *const tables[] = {
	commands_string, commands_list, commands_hash,   commands_set,
	commands_zset,   commands_key,  commands_server, commands_graph,
};
#define TABLES (sizeof(tables) / sizeof(tables[0]))

bool argument_is(const struct argument *argument, const char *lower_case)
{
	return argument->length == strlen(lower_case) &&
	       strncasecmp(argument->bytes, lower_case, argument->length) == 0;
}

/* All commands by name, in order. */
static const struct command *sorted[256];
static size_t sorted_count;

static int by_name(const void *a, const void *b)
{
	return strcmp((*(const struct command *const *)a)->name, (*(const struct command *const *)b)->name);
}

void command_start(void)
{
	for (size_t i = 0; i < TABLES; i++)
		for (const struct command *command = tables[i]; command->name != NULL; command++)
			sorted[sorted_count++] = command;
	qsort(sorted, sorted_count, sizeof(sorted[0]), by_name);
}

const struct command *const *command_all(size_t *count)
{
	*count = sorted_count;
	return sorted;
}

const struct command *command_find(const struct argument *name)
{
	char lower[32];
	if (name->length >= sizeof(lower))
		return NULL;
	for (size_t i = 0; i < name->length; i++)
		lower[i] = (char)tolower((unsigned char)name->bytes[i]);
	lower[name->length] = '\0';
	size_t low = 0, high = sorted_count;
	while (low < high) {
		size_t middle = (low + high) / 2;
		int order = strcmp(lower, sorted[middle]->name);
		if (order == 0)
			return strlen(lower) == name->length ? sorted[middle] : NULL;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

/* The words of Redis, so that clients that compare them are at home. */
static void unknown(struct request *request)
{
	const struct argument *name = &request->arguments[0];
	char begin[160];
	size_t length = 0;
	begin[0] = '\0';
	for (size_t i = 1; i < request->count && length < 128; i++) {
		int room = (int)(128 - length), given = (int)request->arguments[i].length;
		length += (size_t)snprintf(begin + length, sizeof(begin) - length, "'%.*s' ",
		                           given < room ? given : room, request->arguments[i].bytes);
	}
	reply_error(request->reply, "ERR unknown command '%.*s', with args beginning with: %s",
	            name->length < 128 ? (int)name->length : 128, name->bytes, begin);
}

void wrong_arity(struct request *request)
{
	char name[32];
	size_t length = request->arguments[0].length;
	for (size_t i = 0; i < length && i < sizeof(name); i++)
		name[i] = (char)tolower((unsigned char)request->arguments[0].bytes[i]);
	reply_error(request->reply, "ERR wrong number of arguments for '%.*s' command", (int)length, name);
}

void syntax_error(struct request *request)
{
	reply_error(request->reply, "ERR syntax error");
}

void command_run(struct request *request)
{
	const struct command *command = command_find(&request->arguments[0]);
	if (command == NULL) {
		unknown(request);
	} else if (command->arity > 0 ? request->count != (size_t)command->arity
	                              : request->count < (size_t)-command->arity) {
		wrong_arity(request);
	} else {
		if ((command->flags & COMMAND_WRITE) != 0)
			store_evict();
		command->run(request);
	}
}

bool argument_integer(struct request *request, size_t index, long long *number)
{
	const struct argument *argument = &request->arguments[index];
	if (string_read_integer(argument->bytes, argument->length, number))
		return true;
	reply_error(request->reply, "ERR value is not an integer or out of range");
	return false;
}

bool argument_double(struct request *request, size_t index, double *number)
{
	const struct argument *argument = &request->arguments[index];
	char text[128], *end = text;
	errno = 0;
	if (argument->length > 0 && argument->length < sizeof(text) &&
	    !isspace((unsigned char)argument->bytes[0])) {
		memcpy(text, argument->bytes, argument->length);
		text[argument->length] = '\0';
		*number = strtod(text, &end);
	}
	if (end != text && end == text + argument->length && !isnan(*number) &&
	    !(errno == ERANGE && (fabs(*number) == HUGE_VAL || *number == 0)))
		return true;
	reply_error(request->reply, "ERR value is not a valid float");
	return false;
}

struct value *value_of_kind(struct request *request, struct entry *entry, enum kind kind, bool *ok)
{
	struct value *value = entry != NULL ? mem_get(&entry->value) : NULL;
	*ok = value == NULL || value->kind == kind;
	if (!*ok)
		reply_error(request->reply,
		            "WRONGTYPE Operation against a key holding the wrong kind of value");
	return *ok ? value : NULL;
}
