/* SPDX-License-Identifier: MIT
 *
 * cgc-server: an in-memory store that speaks the Redis protocol. All data are objects that all threads share.
 *
 *     cgc-server [--port N] [--bind ADDRESS] [--threads N] [--maxmemory BYTES] [--maxclients N] [--memory OPTIONS]
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "command.h"
#include "loop.h"
#include "store.h"

struct server server = {
	.settings =
		{
			.bind = "127.0.0.1",
			.port = 6380,
			.threads = 2,
			.max_clients = 10000,
			.max_request = (size_t)512 << 20,
			.max_output = (size_t)256 << 20,
		},
};

static void usage(void)
{
	fprintf(stderr, "usage: cgc-server [--port N] [--bind ADDRESS] [--threads N] [--maxmemory BYTES] "
	                "[--maxclients N]\n"
	                "                  [--maxoutput BYTES] [--memory OPTIONS]\n");
	exit(1);
}

static unsigned long long number(const char *name, const char *text, unsigned long long least,
                                 unsigned long long most)
{
	char *end;
	errno = 0;
	unsigned long long value = strtoull(text, &end, 10);
	if (*text == '\0' || *text == '-' || *end != '\0' || errno != 0 || value < least || value > most) {
		fprintf(stderr, "cgc-server: --%s %s: expected a number from %llu to %llu\n", name, text, least,
		        most);
		exit(1);
	}
	return value;
}

static void read_arguments(int argc, char **argv)
{
	static const struct option options[] = {
		{"port", required_argument, NULL, 'p'},       {"bind", required_argument, NULL, 'b'},
		{"threads", required_argument, NULL, 't'},    {"maxmemory", required_argument, NULL, 'm'},
		{"maxclients", required_argument, NULL, 'c'}, {"maxoutput", required_argument, NULL, 'o'},
		{"memory", required_argument, NULL, 'y'},     {NULL, 0, NULL, 0},
	};
	struct settings *settings = &server.settings;
	for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		switch (option) {
		case 'p':
			settings->port = (int)number("port", optarg, 0, 65535);
			break;
		case 'b':
			settings->bind = optarg;
			break;
		case 't':
			settings->threads = (unsigned)number("threads", optarg, 1, 256);
			break;
		case 'm':
			settings->max_memory = number("maxmemory", optarg, 0, UINT64_MAX);
			break;
		case 'c':
			settings->max_clients = number("maxclients", optarg, 1, 1000000);
			break;
		case 'o':
			settings->max_output = number("maxoutput", optarg, 1024, SIZE_MAX / 2);
			break;
		case 'y':
			settings->memory_options = optarg;
			break;
		default:
			usage();
		}
	}
	if (optind != argc)
		usage();
}

/* Bound; with port 0 the system chooses one. */
static int open_socket(void)
{
	struct settings *settings = &server.settings;
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)settings->port)};
	socklen_t length = sizeof(address);
	const int yes = 1;
	if (inet_pton(AF_INET, settings->bind, &address.sin_addr) != 1) {
		fprintf(stderr, "cgc-server: --bind %s: not an IPv4 address\n", settings->bind);
		exit(1);
	}
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) != 0 ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
	    getsockname(fd, (struct sockaddr *)&address, &length) != 0) {
		fprintf(stderr, "cgc-server: %s:%d: %s\n", settings->bind, settings->port, strerror(errno));
		exit(1);
	}
	settings->port = ntohs(address.sin_port);
	return fd;
}

/* A thread of its own waits for SIGTERM and SIGINT: nothing runs in a signal handler. */
static void *wait_for_signal(void *argument)
{
	int signal_number;
	sigwait(argument, &signal_number);
	server_stop();
	return NULL;
}

int main(int argc, char **argv)
{
	static sigset_t signals;
	pthread_t waiter;
	read_arguments(argc, argv);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	int fd = open_socket();
	if (!mem_start(server.settings.memory_options))
		return 1;
	command_start();
	store_start(server.settings.max_memory);
	server.started = server_now();
	int error = loops_begin(fd);
	if (error != 0) {
		fprintf(stderr, "cgc-server: the loops cannot begin: %s\n", strerror(error));
		return 1;
	}
	if (pthread_create(&waiter, NULL, wait_for_signal, &signals) != 0) {
		fprintf(stderr, "cgc-server: no thread for signals\n");
		return 1;
	}
	printf("cgc-server %s, memory by %s, %u threads, listening on %s:%d\n", SERVER_VERSION,
	       mem_numbers().policy, server.settings.threads, server.settings.bind, server.settings.port);
	fflush(stdout);
	error = loops_run();
	if (error != 0) {
		fprintf(stderr, "cgc-server: the loops cannot run: %s\n", strerror(error));
		return 1;
	}
	kill(getpid(), SIGTERM); /* if it still waits */
	pthread_join(waiter, NULL);
	store_stop();
	size_t left = mem_stop();
	printf("cgc-server: stopped; %zu objects left\n", left);
	return left == 0 ? 0 : 1;
}
