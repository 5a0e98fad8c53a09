/* Named limits of the scheduler. */
#pragma once

#define SCHED_JOB_ENTRIES_MAX 100u    /* recipients of one job */
#define SCHED_KEY_MAX         1024u   /* octets of a site's or an account's name */
#define SCHED_SITE_JOBS_MAX   100000u /* largest limit of jobs at a time to one site */
#define SCHED_TICK_MS         1000u   /* waiting entries and sleeping sites wake on this grid */
