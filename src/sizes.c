/* SPDX-License-Identifier: MIT
 *
 * The sizes of cells: 34 classes; beyond 1 KiB up to a quarter of a cell may be wasted.
 */
#include "slab.h"

const uint16_t cgc__slab_class_bytes[CGC__CLASS_COUNT] = {
	32,  48,  64,  80,  96,  112,  128,  144,  160,  176,  192,  224,  256,  288,  320,  384,  448,
	512, 576, 640, 768, 896, 1024, 1152, 1280, 1536, 1792, 2048, 2560, 3072, 4096, 5120, 6144, 8192,
};

uint8_t cgc__slab_classes[CGC__CELL_LARGEST / 16];

void cgc__slab_start(void)
{
	unsigned size_class = 0;
	for (unsigned i = 0; i < CGC__CELL_LARGEST / 16; i++) {
		while (cgc__slab_class_bytes[size_class] < (i + 1) * 16)
			size_class++;
		cgc__slab_classes[i] = (uint8_t)size_class;
	}
}
