/* top.h: the requests in flight, for `heka-raven top`: a file in the spool's state/ that is written only while somebody asks.
 *
 * Who asks keeps the file state/top fresh: one stat of the master a look, when nobody does. In it may stand "stack 2 0 PID
 * NAMESPACE", for the Python stack of worker 2 of that server, with the values of core 0's request. docs/adr/0009-requests-in-flight.rst.
 */
#ifndef HK_TOP_H
#define HK_TOP_H

void hk_top_look(void);  /* in each look of the master */
void hk_top_close(void); /* at its end */

#endif
