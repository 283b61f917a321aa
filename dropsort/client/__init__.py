"""Operations on a service that runs, on AWS or on this machine: upload, watch, wait, read results, redrive."""
