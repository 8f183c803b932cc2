/* interpreters.h: the stack of an application that has an interpreter of its own (mount = without single-interpreter), on
 * Python before 3.12, whose faulthandler knows the main one only. */
#ifndef HK_INTERPRETERS_H
#define HK_INTERPRETERS_H

#include "shared.h"

/* After faulthandler was registered on HK_STACK_SIGNAL: stand in front of it, where that is needed and can be done. */
void hk_interpreters_start(void);

#endif
