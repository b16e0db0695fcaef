"""Several processes that train one model: who does what, shards and sums, memory they share, their beginning and end.

    Crew (the parent) | pipes | processes, each with a Team: collectives over torch.distributed, FSDP2 shards

Nothing here knows what a sample is. A process loads no torch before it is told what to make.
"""
