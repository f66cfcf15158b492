/* SPDX-License-Identifier: MIT
 *
 * Commands about the connection and the server.
 */
#define _GNU_SOURCE /* FNM_CASEFOLD */
#include <fnmatch.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "client.h"
#include "command.h"
#include "loop.h"

static void ping(struct request *request)
{
	if (request->count > 2)
		wrong_arity(request);
	else if (request->count == 2)
		reply_bulk(request->reply, request->arguments[1].bytes, request->arguments[1].length);
	else
		reply_simple(request->reply, "PONG");
}

static void echo(struct request *request)
{
	reply_bulk(request->reply, request->arguments[1].bytes, request->arguments[1].length);
}

static void quit(struct request *request)
{
	reply_simple(request->reply, "OK");
	request->client->is_closing = true;
}

static void select_database(struct request *request)
{
	long long index;
	if (!argument_integer(request, 1, &index))
		return;
	if (index == 0)
		reply_simple(request->reply, "OK");
	else
		reply_error(request->reply, "ERR DB index is out of range");
}

static void hello(struct request *request)
{
	long long version = 2;
	if (request->count > 1 &&
	    !string_read_integer(request->arguments[1].bytes, request->arguments[1].length, &version)) {
		reply_error(request->reply, "ERR Protocol version is not an integer or out of range");
		return;
	}
	if (version != 2 || request->count > 2) {
		reply_error(request->reply, "NOPROTO unsupported protocol version");
		return;
	}
	reply_array(request->reply, 14);
	reply_text(request->reply, "server");
	reply_text(request->reply, "cgc-server");
	reply_text(request->reply, "version");
	reply_text(request->reply, SERVER_VERSION);
	reply_text(request->reply, "proto");
	reply_integer(request->reply, 2);
	reply_text(request->reply, "id");
	reply_integer(request->reply, (long long)request->client->id);
	reply_text(request->reply, "mode");
	reply_text(request->reply, "standalone");
	reply_text(request->reply, "role");
	reply_text(request->reply, "master");
	reply_text(request->reply, "modules");
	reply_array(request->reply, 0);
}

static void client_command(struct request *request)
{
	struct client *client = request->client;
	const struct argument *what = &request->arguments[1];
	if (argument_is(what, "id") && request->count == 2) {
		reply_integer(request->reply, (long long)client->id);
	} else if (argument_is(what, "getname") && request->count == 2) {
		if (client->name != NULL)
			reply_text(request->reply, client->name);
		else
			reply_null(request->reply);
	} else if (argument_is(what, "setname") && request->count == 3) {
		free(client->name);
		client->name = request->arguments[2].length > 0
		                       ? strndup(request->arguments[2].bytes, request->arguments[2].length)
		                       : NULL;
		reply_simple(request->reply, "OK");
	} else if (argument_is(what, "setinfo") && request->count == 4) {
		reply_simple(request->reply, "OK");
	} else if ((argument_is(what, "info") || argument_is(what, "list")) && request->count == 2) {
		char text[256];
		snprintf(text, sizeof(text), "id=%" PRIu64 " name=%.128s\n", client->id,
		         client->name != NULL ? client->name : "");
		reply_text(request->reply, text);
	} else {
		reply_error(request->reply,
		            "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try CLIENT HELP.",
		            (int)what->length, what->bytes);
	}
}

static void describe(struct request *request, const struct command *command)
{
	reply_array(request->reply, 6);
	reply_text(request->reply, command->name);
	reply_integer(request->reply, command->arity);
	reply_array(request->reply, 1);
	reply_simple(request->reply, (command->flags & COMMAND_WRITE) != 0 ? "write" : "readonly");
	reply_integer(request->reply, 0);
	reply_integer(request->reply, 0);
	reply_integer(request->reply, 0);
}

static void command_command(struct request *request)
{
	size_t count;
	const struct command *const *all = command_all(&count);
	if (request->count == 1) {
		reply_array(request->reply, count);
		for (size_t i = 0; i < count; i++)
			describe(request, all[i]);
	} else if (argument_is(&request->arguments[1], "count") && request->count == 2) {
		reply_integer(request->reply, (long long)count);
	} else if (argument_is(&request->arguments[1], "docs")) {
		reply_array(request->reply, 0);
	} else if (argument_is(&request->arguments[1], "info")) {
		reply_array(request->reply, request->count - 2);
		for (size_t i = 2; i < request->count; i++) {
			const struct command *command = command_find(&request->arguments[i]);
			if (command != NULL)
				describe(request, command);
			else
				reply_null_array(request->reply);
		}
	} else {
		reply_error(request->reply, "ERR unknown subcommand '%.*s'. Try COMMAND HELP.",
		            (int)request->arguments[1].length, request->arguments[1].bytes);
	}
}

/* ---- CONFIG ---------------------------------------------------------------------------------------------- */

static void config_get(struct request *request)
{
	char port[24], memory[24], clients[24], threads[24];
	snprintf(port, sizeof(port), "%d", server.settings.port);
	snprintf(memory, sizeof(memory), "%" PRIu64, store_numbers().max_memory);
	snprintf(clients, sizeof(clients), "%zu", server.settings.max_clients);
	snprintf(threads, sizeof(threads), "%u", server.settings.threads);
	const char *const settings[][2] = {
		{"appendonly", "no"},    {"bind", server.settings.bind},
		{"databases", "1"},      {"io-threads", threads},
		{"maxclients", clients}, {"maxmemory", memory},
		{"port", port},          {"save", ""},
	};
	size_t found = 0, begin = reply_array_begin(request->reply);
	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
		for (size_t j = 2; j < request->count; j++) {
			char *pattern = strndup(request->arguments[j].bytes, request->arguments[j].length);
			bool matches = pattern != NULL && fnmatch(pattern, settings[i][0], FNM_CASEFOLD) == 0;
			free(pattern);
			if (!matches)
				continue;
			reply_text(request->reply, settings[i][0]);
			reply_text(request->reply, settings[i][1]);
			found += 2;
			break;
		}
	reply_array_end(request->reply, begin, found);
}

static void config(struct request *request)
{
	long long bytes;
	if (argument_is(&request->arguments[1], "get") && request->count >= 3) {
		config_get(request);
	} else if (argument_is(&request->arguments[1], "resetstat") && request->count == 2) {
		mem_reset_longest();
		reply_simple(request->reply, "OK");
	} else if (argument_is(&request->arguments[1], "set") && request->count == 4) {
		if (argument_is(&request->arguments[2], "maxmemory") &&
		    string_read_integer(request->arguments[3].bytes, request->arguments[3].length, &bytes) &&
		    bytes >= 0) {
			store_set_max_memory((uint64_t)bytes);
			reply_simple(request->reply, "OK");
		} else {
			reply_error(request->reply,
			            "ERR CONFIG SET failed: only maxmemory, in bytes, can be set");
		}
	} else {
		reply_error(request->reply,
		            "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try CONFIG HELP.",
		            (int)request->arguments[1].length, request->arguments[1].bytes);
	}
}

/* ---- INFO ------------------------------------------------------------------------------------------------ */

static uint64_t get(_Atomic(uint64_t) *counter)
{
	/* No order needed: statistics. */
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static void line(void *argument, const char *name, uint64_t value)
{
	char text[128];
	reply_raw(argument, text, (size_t)snprintf(text, sizeof(text), "%s:%" PRIu64 "\r\n", name, value));
}

static void text_line(struct reply *reply, const char *name, const char *value)
{
	reply_raw(reply, name, strlen(name));
	reply_raw(reply, ":", 1);
	reply_raw(reply, value, strlen(value));
	reply_raw(reply, "\r\n", 2);
}

static uint64_t resident_bytes(void)
{
	unsigned long long pages = 0;
	FILE *file = fopen("/proc/self/statm", "r");
	if (file != NULL) {
		if (fscanf(file, "%*u %llu", &pages) != 1)
			pages = 0;
		fclose(file);
	}
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void info_server(struct reply *reply)
{
	text_line(reply, "server_name", "cgc-server");
	text_line(reply, "redis_version", "7.0.0");
	text_line(reply, "server_version", SERVER_VERSION);
	text_line(reply, "redis_mode", "standalone");
	line(reply, "process_id", (uint64_t)getpid());
	line(reply, "tcp_port", (uint64_t)server.settings.port);
	line(reply, "threads", server.settings.threads);
	line(reply, "uptime_in_seconds", (uint64_t)(server_now() - server.started) / 1000);
}

static void info_clients(struct reply *reply)
{
	line(reply, "connected_clients", get(&server.clients));
	line(reply, "maxclients", server.settings.max_clients);
}

static void info_memory(struct reply *reply)
{
	struct store_numbers store = store_numbers();
	line(reply, "used_memory", store.bytes);
	line(reply, "used_memory_rss", resident_bytes());
	line(reply, "maxmemory", store.max_memory);
}

static void info_stats(struct reply *reply)
{
	struct store_numbers store = store_numbers();
	line(reply, "total_connections_received", get(&server.connections));
	line(reply, "total_commands_processed", get(&server.commands));
	line(reply, "rejected_connections", get(&server.refused));
	line(reply, "slow_readers_closed", get(&server.slow_readers));
	line(reply, "protocol_errors", get(&server.protocol_errors));
	line(reply, "expired_keys", store.expired);
	line(reply, "evicted_keys", store.evicted);
}

static void info_collector(struct reply *reply)
{
	text_line(reply, "memory_policy", mem_numbers().policy);
	mem_describe(line, reply);
}

static void info_keyspace(struct reply *reply)
{
	char text[64];
	struct store_numbers numbers = store_numbers();
	if (numbers.keys > 0) {
		snprintf(text, sizeof(text), "keys=%" PRIu64 ",expires=%" PRIu64 ",avg_ttl=0", numbers.keys,
		         numbers.expiring);
		text_line(reply, "db0", text);
	}
}

static void info(struct request *request)
{
	static const struct {
		const char *name, *title;
		void (*write)(struct reply *reply);
	} sections[] = {
		{"server", "# Server\r\n", info_server},          {"clients", "# Clients\r\n", info_clients},
		{"memory", "# Memory\r\n", info_memory},          {"stats", "# Stats\r\n", info_stats},
		{"collector", "# Collector\r\n", info_collector}, {"keyspace", "# Keyspace\r\n", info_keyspace},
	};
	struct reply text = {0};
	for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
		bool wanted = request->count == 1;
		for (size_t j = 1; j < request->count; j++)
			wanted |= argument_is(&request->arguments[j], sections[i].name) ||
			          argument_is(&request->arguments[j], "all") ||
			          argument_is(&request->arguments[j], "everything") ||
			          argument_is(&request->arguments[j], "default");
		if (!wanted)
			continue;
		if (text.length > 0)
			reply_raw(&text, "\r\n", 2);
		reply_raw(&text, sections[i].title, strlen(sections[i].title));
		sections[i].write(&text);
	}
	reply_bulk(request->reply, text.length > 0 ? text.bytes : "", text.length);
	free(text.bytes);
}

static void shutdown_command(struct request *request)
{
	for (size_t i = 1; i < request->count; i++)
		if (!argument_is(&request->arguments[i], "nosave") &&
		    !argument_is(&request->arguments[i], "save") &&
		    !argument_is(&request->arguments[i], "now") &&
		    !argument_is(&request->arguments[i], "force")) {
			syntax_error(request);
			return;
		}
	request->client->is_closing = true;
	server_stop();
}

const struct command commands_server[] = {
	{"ping", -1, 0, ping},
	{"echo", 2, 0, echo},
	{"quit", -1, 0, quit},
	{"select", 2, 0, select_database},
	{"hello", -1, 0, hello},
	{"client", -2, 0, client_command},
	{"command", -1, 0, command_command},
	{"config", -2, 0, config},
	{"info", -1, 0, info},
	{"shutdown", -1, 0, shutdown_command},
	{NULL, 0, 0, NULL},
};
