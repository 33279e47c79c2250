"""What did the instruments record: memray, the runtime's profile and log, NVML?"""
