<?php

declare(strict_types=1);

namespace Platform;

/** A quotation or an order; state and message are there after it was processed. */
final class Order extends Entity
{
    public ?int $orderId = null;
    public float $subTotal;
    public float $discount;
    public float $vat;
    public float $total;
    public string $currency;
    public int $rfStatusId;
    public string $rfStatus;
    public int $companyId;
    public string $company;
    public string $orderDate;
    public string $billingEmail;
    public string $billingName;
    public string $paymentType;
    public int $paymentTerms;
    public ?string $paymentLink = null;
    public ?string $purchaseOrderNumber = null;
    public ?string $state = null;
    public ?string $message = null;
}
