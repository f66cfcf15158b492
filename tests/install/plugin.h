/* SPDX-License-Identifier: MIT
 *
 * What a host calls, in the plugin or in the library itself.
 */
#ifndef TESTS_INSTALL_PLUGIN_H
#define TESTS_INSTALL_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>

int plugin_start(void);
bool plugin_work(int count);
long plugin_ring(void);
void plugin_detach(void);
size_t plugin_stop(void);

#endif
