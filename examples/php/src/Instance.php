<?php

declare(strict_types=1);

namespace Platform;

/** A hosted instance. */
final class Instance extends Entity
{
    public int $hostingId;
    public int $accountId;
    public string $accountName;
    public int $companyId;
    public string $company;
    public int $displays;
    public int $isDemo;
    public int $isMonthly;
    public int $isRenew;
    public string $renewalDate;
    public int $regionId;
    public ?string $region = null;
    public int $domainId;
    public ?string $domain = null;
    public int $themeId;
    public ?string $theme = null;
    public int $cmsVersionId;
    public ?string $cmsVersion = null;
    public ?string $url = null;
    public string $status;
    public string $createdDate;
}
